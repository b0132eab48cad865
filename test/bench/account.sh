# shellcheck shell=bash
# shellcheck disable=SC2154 # measured() and spread() set variables by name
# End to end: every pair of the set account, the reference and Waymark by turns on one cluster. Sourced by run.sh.

# Leaves SQL that loads the set in $scratch/account.sql, as a trail-progress frontend inserts rows.
account_sql() {
    if [[ $data ]]; then
        python3 "$shared/tools/coverage_sql.py" "$data" account >"$scratch/account.sql"
    else
        cp "$bench/synthetic.sql" "$scratch/account.sql"
    fi
}

load_reference() {
    fresh_database reference
    sql reference -f "$bench/reference/schema.sql" -f "$bench/reference/process.sql"
    sql reference -f "$scratch/account.sql"
    settle reference
}

load_waymark() {
    waymark_database account
    sql account -f "$scratch/account.sql"
    settle account
}

# What loading left to do in the background is done before the clock runs.
settle() {
    sql "$1" -c 'VACUUM ANALYZE' -c 'CHECKPOINT'
}

reference_round() {
    load_reference
    measured -m psql -Xq -d reference -c 'CALL process_all(10)'
    reference_wall+=("$wall_s") reference_cpu+=("$(calc "$server_s + $cpu_s")") reference_rss=$rss_kb
    say "  reference  $(calc "$wall_s" %.1f) s"
}

waymark_round() {
    load_waymark
    measured "$build/waymark" process --quiet
    waymark_wall+=("$wall_s") waymark_cpu+=("$(calc "$server_s + $cpu_s")") waymark_own+=("$cpu_s")
    say "  waymark    $(calc "$wall_s" %.3f) s"
}

# Sampling memory costs time, so it has a round of its own.
waymark_memory() {
    load_waymark
    measured -m "$build/waymark" process --quiet
}

# Both sides see the same noise of the machine: Waymark's rounds lie before, between and after the reference's.
account_rounds() {
    local i k
    waymark_round
    for ((i = 0; i < reference_rounds; i++)); do
        reference_round
        for ((k = 0; k < waymark_rounds; k++)); do
            if ((k * reference_rounds / waymark_rounds == i)); then waymark_round; fi
        done
    done
}

account_part() {
    local pairs ratios=() w r covered reference_covered
    reference_wall=() reference_cpu=() waymark_wall=() waymark_cpu=() waymark_own=()
    heading "account, end to end: $reference_rounds rounds of the reference, each some 100 s, $((waymark_rounds + 1)) of Waymark"
    account_sql
    account_rounds
    pairs=$(sql account -c 'SELECT (SELECT count(*) FROM activities) * (SELECT count(*) FROM routes)')
    covered=$(sql account -c 'SELECT round(sum(covered_length)) FROM route_stats')
    reference_covered=$(sql reference -c 'SELECT round(sum(covered_length)) FROM route_stats')
    for w in "${waymark_wall[@]}"; do
        for r in "${reference_wall[@]}"; do ratios+=("$(calc "$r / $w" %.1f)"); done
    done
    waymark_memory
    row "pairs" "$pairs"
    spread "${reference_wall[@]}"
    row "reference, wall s (min / median / max)" "$(calc "$low" %.1f) / $(calc "$median" %.1f) / $(calc "$high" %.1f)"
    spread "${waymark_wall[@]}"
    row "waymark process, wall s" "$(calc "$low" %.3f) / $(calc "$median" %.3f) / $(calc "$high" %.3f)"
    spread "${ratios[@]}"
    local target="made-up lines are smooth, which spares the reference: no target"
    if [[ $data ]]; then target=">= 250: $(verdict "$median" 250 at-least)"; fi
    row "times faster (every round with every round)" "$low / $median / $high" "$target"
    account_cpu_rows "$pairs"
    row "reference, peak RSS of its backend and psql, MB" "$(calc "$reference_rss / 1024" %.0f)"
    row "waymark and its $backends backends, peak RSS together, MB" "$(calc "$rss_kb / 1024" %.0f)" \
        "<= 150: $(verdict "$rss_kb" 153600 at-most) (shared pages counted once for each)"
    row "  the same as PSS, MB" "$(calc "$pss_kb / 1024" %.0f)" "(each page divided by those who map it)"
    row "km covered, reference / waymark" "$(calc "$reference_covered / 1000" %.1f) / $(calc "$covered / 1000" %.1f)"
    keep account_pairs "$pairs"
    keep reference_wall_s "${reference_wall[@]}"
    keep waymark_wall_s "${waymark_wall[@]}"
    keep ratio "${ratios[@]}"
    keep reference_rss_kb "$reference_rss"
    keep waymark_rss_kb "$rss_kb"
    keep waymark_pss_kb "$pss_kb"
    keep waymark_sum_of_hwm_kb "$hwm_kb"
}

account_cpu_rows() {
    spread "${reference_cpu[@]}"
    row "reference, CPU us a pair" "$(calc "$median * 1e6 / $1" %.0f)"
    local reference=$median
    spread "${waymark_cpu[@]}"
    row "waymark, CPU us a pair, server included" "$(calc "$median * 1e6 / $1" %.0f)" "$(calc "$reference / $median" %.0f) times less"
    spread "${waymark_own[@]}"
    row "  of that in waymark" "$(calc "$median * 1e6 / $1" %.0f)"
    keep reference_cpu_s "${reference_cpu[@]}"
    keep waymark_cpu_s "${waymark_cpu[@]}"
    keep waymark_own_cpu_s "${waymark_own[@]}"
}

# ---- coverage scores ----------------------------------------------------------------------------------------

score() { # SETS
    sql score -c "\\copy (SELECT activity_id, route_id, start_m, end_m FROM route_sections) TO '$scratch/intervals.csv' CSV HEADER"
    python3 "$shared/tools/coverage_score.py" "$data" "$scratch/intervals.csv" "$1" | grep '^TOTAL'
}

coverage_part() {
    local sets line
    heading "coverage against the known truth"
    if [[ ! $data ]]; then
        say "  skipped: needs ../shared/data/coverage"
        return
    fi
    for sets in acc+acc2 account; do
        waymark_database score
        python3 "$shared/tools/coverage_sql.py" "$data" "$sets" | sql score
        waymark process --quiet
        line=$(score "$sets")
        row "$sets" "" "${line#TOTAL }"
        keep_text "coverage_$sets" "$line"
    done
}
