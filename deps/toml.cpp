#include "toml.h"

#include <algorithm>
#include <cctype>
#include <climits>
#include <cstdio>
#include <cstring>
#include <exception>
#include <sstream>
#include <string>
#include <vector>

#include <toml.hpp>

namespace
{

struct refusal {
    int line;
    std::string what;
};

struct item {
    std::string key;
    toml_type type;
    std::string text;
    int line;
};

/* Looks over the document without understanding it, for what toml11 would stumble over: text that
 * is not UTF-8 (it reads past the end), deep brackets and deep dotted keys (it recurses), and
 * binary integers too long for 64 bits (undefined behaviour). What is merely no TOML passes; toml11
 * tells why. */
class prescan
{
  public:
    prescan(const char *text, size_t len) : p_(text), end_(text + len)
    {
    }

    void run()
    {
        check_utf8();
        while (p_ < end_) {
            step();
        }
    }

  private:
    const char *p_, *end_;
    int line_ = 1;
    int depth_ = 0;  /* open brackets and, with them, the dots of the keys they belong to */
    int dots_ = 0;   /* in the key being read */
    int values_ = 0; /* keys, elements of arrays, tables */
    std::vector<int> dots_below_;
    bool in_word_ = false;

    void step()
    {
        char c = *p_;
        bool word = std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '+';
        if (word && !in_word_) {
            check_binary();
        }
        in_word_ = word;
        switch (c) {
        case '#':
            while (p_ < end_ && *p_ != '\n') {
                p_++;
            }
            return;
        case '"':
        case '\'':
            skip_string(c);
            return;
        case '\n':
            line_++;
            dots_ = 0;
            break;
        case '=':
        case ',':
            dots_ = 0;
            count_value();
            break;
        case '.':
            dots_++;
            check_depth();
            break;
        case '[':
        case '{':
            count_value();
            dots_below_.push_back(dots_);
            depth_ += dots_ + 1;
            dots_ = 0;
            check_depth();
            break;
        case ']':
        case '}':
            if (!dots_below_.empty()) {
                depth_ -= dots_below_.back() + 1;
                dots_below_.pop_back();
            }
            dots_ = 0;
            break;
        default:
            break;
        }
        p_++;
    }

    /* Length of the sequence at p, 0 if it is not strict UTF-8 or a NUL. */
    static int sequence(const unsigned char *p, long left)
    {
        if (p[0] < 0x80) {
            return p[0] != 0;
        }
        int len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
        if (p[0] < 0xc2 || p[0] > 0xf4 || left < len) {
            return 0;
        }
        for (int i = 1; i < len; i++) {
            if ((p[i] & 0xc0) != 0x80) {
                return 0;
            }
        }
        bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
        bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
        bool beyond = p[0] == 0xf4 && p[1] >= 0x90;
        return overlong || surrogate || beyond ? 0 : len;
    }

    void check_utf8() const
    {
        int line = 1;
        for (const char *p = p_; p < end_;) {
            int len = sequence(reinterpret_cast<const unsigned char *>(p), end_ - p);
            if (len == 0) {
                throw refusal{line, "not UTF-8 text"};
            }
            line += *p == '\n';
            p += len;
        }
    }

    /* toml11 takes 25 s to find a mistake at the end of an array as long as a document may be, and
     * 13 s for as many empty tables. */
    void count_value()
    {
        if (++values_ > TOML_MAX_VALUES) {
            throw refusal{line_, "more than " + std::to_string(TOML_MAX_VALUES) + " values"};
        }
    }

    void check_depth() const
    {
        if (depth_ + dots_ > TOML_MAX_DEPTH) {
            throw refusal{line_,
                          "nested deeper than " + std::to_string(TOML_MAX_DEPTH) + " levels"};
        }
    }

    void check_binary() const
    {
        if (end_ - p_ < 2 || p_[0] != '0' || p_[1] != 'b') {
            return;
        }
        int digits = 0;
        for (const char *q = p_ + 2; q < end_ && (*q == '0' || *q == '1' || *q == '_'); q++) {
            digits += *q != '_';
        }
        if (digits > 62) {
            throw refusal{line_, "the integer is too large"};
        }
    }

    /* Basic strings have escapes; three quotes open a string that may span lines. */
    void skip_string(char quote)
    {
        bool multi = end_ - p_ >= 3 && p_[1] == quote && p_[2] == quote;
        p_ += multi ? 3 : 1;
        while (p_ < end_) {
            if (*p_ == '\\' && quote == '"' && end_ - p_ >= 2) {
                p_++;
            } else if (*p_ == quote && !multi) {
                p_++;
                return;
            } else if (*p_ == quote && end_ - p_ >= 3 && p_[1] == quote && p_[2] == quote) {
                /* One or two more quotes still belong to the string. */
                p_ += 3;
                for (int extra = 0; extra < 2 && p_ < end_ && *p_ == quote; extra++) {
                    p_++;
                }
                return;
            } else if (*p_ == '\n' && !multi) {
                return; /* not closed: the next line starts afresh */
            }
            line_ += *p_ == '\n';
            p_++;
        }
    }
};

bool plain_key(const std::string &key)
{
    return !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
        return c < 0x80 && (std::isalnum(c) || c == '_' || c == '-');
    });
}

class flattener
{
  public:
    std::vector<item> items;

    void table(const toml::value &v, const std::string &prefix)
    {
        for (const auto &entry : v.as_table()) {
            if (!plain_key(entry.first)) {
                throw refusal{line_of(entry.second),
                              "a key may hold letters, digits, '_' and '-' only"};
            }
            value(entry.second, prefix.empty() ? entry.first : prefix + "." + entry.first);
        }
    }

  private:
    static int line_of(const toml::value &v)
    {
        return static_cast<int>(v.location().line());
    }

    void value(const toml::value &v, const std::string &key)
    {
        if (v.is_table() && !v.as_table().empty()) {
            table(v, key);
            return;
        }
        items.push_back(leaf(v, key));
    }

    static item leaf(const toml::value &v, const std::string &key)
    {
        int line = line_of(v);
        switch (v.type()) {
        case toml::value_t::string:
            return {key, TOML_STRING, v.as_string().str, line};
        case toml::value_t::boolean:
            return {key, TOML_BOOL, v.as_boolean() ? "true" : "false", line};
        case toml::value_t::integer:
            if (v.as_integer() == LLONG_MAX || v.as_integer() == LLONG_MIN) {
                throw refusal{line, "the integer is too large"};
            }
            return {key, TOML_INT, std::to_string(v.as_integer()), line};
        case toml::value_t::floating: {
            char text[40];
            std::snprintf(text, sizeof(text), "%.17g", v.as_floating());
            return {key, TOML_FLOAT, text, line};
        }
        case toml::value_t::array:
            return {key, TOML_ARRAY, "", line};
        case toml::value_t::table:
            return {key, TOML_TABLE, "", line};
        default:
            return {key, TOML_TIME, "", line};
        }
    }
};

/* toml11's messages have several lines: "[error] toml::parse_x: what", then an excerpt. The excerpt
 * is left out, since the line may hold a secret. */
std::string first_line(const char *what)
{
    std::string s(what);
    s.erase(std::min(s.find('\n'), s.size()));
    for (const char *lead : {"[error] ", "toml::"}) {
        if (s.compare(0, std::strlen(lead), lead) == 0) {
            s.erase(0, std::strlen(lead));
            if (lead[0] == 't' && s.find(": ") != std::string::npos) {
                s.erase(0, s.find(": ") + 2);
            }
        }
    }
    return s;
}

std::vector<item> read_items(const char *text, size_t len, const char *name)
{
    if (len > TOML_MAX_BYTES) {
        throw refusal{1, "larger than " + std::to_string(TOML_MAX_BYTES / 1024) + " kB"};
    }
    prescan(text, len).run();
    std::istringstream in(std::string(text, len));
    flattener flat;
    flat.table(toml::parse(in, name), "");
    std::sort(flat.items.begin(), flat.items.end(), [](const item &a, const item &b) {
        return a.line != b.line ? a.line < b.line : a.key < b.key;
    });
    return std::move(flat.items);
}

} // namespace

extern "C" int toml_read(const char *text, size_t len, const char *name,
                         int (*fn)(void *, const struct toml_item *), void *ctx, char *msg,
                         size_t msg_size)
{
    try {
        for (const item &i : read_items(text, len, name)) {
            toml_item out = {i.key.c_str(), i.type, i.text.data(), i.text.size(), i.line};
            if (int rc = fn(ctx, &out)) {
                return rc;
            }
        }
        return 0;
    } catch (const refusal &e) {
        std::snprintf(msg, msg_size, "%s:%d: %s", name, e.line, e.what.c_str());
    } catch (const toml::exception &e) {
        std::snprintf(msg, msg_size, "%s:%u: %s", name, static_cast<unsigned>(e.location().line()),
                      first_line(e.what()).c_str());
    } catch (const std::exception &e) {
        std::snprintf(msg, msg_size, "%s:1: %s", name, first_line(e.what()).c_str());
    } catch (...) {
        std::snprintf(msg, msg_size, "%s:1: unreadable", name);
    }
    return -1;
}
