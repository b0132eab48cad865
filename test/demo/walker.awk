# Made-up data for ./dev demo: an island that no map shows, two trails on it, and a year of somebody's activities.
# usage: awk -f walker.awk -v out=FOLDER     writes FOLDER/routes/*.gpx and FOLDER/activities/*.gpx
#
# The same bytes everywhere, whichever awk: the random numbers are its own, and coordinates are rounded long before
# the last digit of a sine. Positions are kept in metres east (x) and north (y) of the island's middle.

function random() { # Park and Miller's generator: exact in a double
    seed = seed * 16807 % 2147483647
    return seed / 2147483647
}
function gauss(   i, sum) {
    for (i = 0; i < 12; i++) sum += random()
    return sum - 6
}

# ---- the trails: X[t, i], Y[t, i] and the measure M[t, i] of N[t] points ----------------------------------------

function add_point(t, x, y,   n) {
    n = N[t]++
    X[t, n] = x; Y[t, n] = y
    M[t, n] = n ? M[t, n - 1] + sqrt((x - X[t, n - 1]) ^ 2 + (y - Y[t, n - 1]) ^ 2) : 0
}

# A rough circle: bays and headlands are waves of ever smaller height, as on a real coast.
function make_coast(t,   i, k, a, r, height, phase) {
    for (k = 2; k <= 90; k++) { height[k] = 0.27 * (0.4 + random()) / k ^ 1.2; phase[k] = 2 * PI * random() }
    for (i = 0; i <= 2800; i++) {
        a = 2 * PI * i / 2800
        r = 1
        for (k = 2; k <= 90; k++) r += height[k] * cos(k * a + phase[k])
        add_point(t, 1.25 * RADIUS * r * sin(a), 0.85 * RADIUS * r * cos(a))
    }
}

# From one point of the coast to another, winding.
function make_ridge(t, coast, from, to,   i, k, s, side, dx, dy, height, phase) {
    for (k = 1; k <= 30; k++) { height[k] = 1500 * (0.4 + random()) / k ^ 1.3; phase[k] = 2 * PI * random() }
    dx = X[coast, to] - X[coast, from]; dy = Y[coast, to] - Y[coast, from]
    for (i = 0; i <= 700; i++) {
        s = i / 700
        side = 0
        for (k = 1; k <= 30; k++) side += height[k] * sin(k * PI * s * 1.7 + phase[k])
        side *= 4 * s * (1 - s) / sqrt(dx * dx + dy * dy)
        add_point(t, X[coast, from] + s * dx - side * dy, Y[coast, from] + s * dy + side * dx)
    }
}

function position(x, y) {
    return sprintf("lat=\"%.6f\" lon=\"%.6f\"", LAT + y / 111200, LON + x / (111320 * cos(LAT * PI / 180)))
}
function open_gpx(file, name, type) {
    printf "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<gpx version=\"1.1\" creator=\"walker\" " > file
    printf "xmlns=\"http://www.topografix.com/GPX/1/1\">\n<trk><name>%s</name>", name > file
    printf "%s<trkseg>\n", type == "" ? "" : "<type>" type "</type>" > file
}
function close_gpx(file) {
    printf "</trkseg></trk>\n</gpx>\n" > file
    close(file)
}
function write_route(t, file, name,   i) {
    open_gpx(file, name, "")
    for (i = 0; i < N[t]; i++) printf "<trkpt %s/>\n", position(X[t, i], Y[t, i]) > file
    close_gpx(file)
}

# ---- an activity: a way is put together in PX, PY, then walked with a clock and a receiver ----------------------

function step(x, y) { PX[np] = x; PY[np] = y; np++ }

# Along trail t from kilometre a to kilometre b, either direction, in steps of 10 m.
function along(t, a, b,   at, i, s, left, dir) {
    a *= 1000; b *= 1000
    dir = b > a ? 1 : -1
    left = (b - a) * dir
    i = 0
    for (s = 0; s <= left; s += 10) {
        at = a + dir * s
        if (at < 0) at += M[t, N[t] - 1]
        while (i > 0 && M[t, i] > at) i--
        while (i < N[t] - 2 && M[t, i + 1] < at) i++
        f = (at - M[t, i]) / (M[t, i + 1] - M[t, i])
        step(X[t, i] + f * (X[t, i + 1] - X[t, i]), Y[t, i] + f * (Y[t, i + 1] - Y[t, i]))
    }
}
# From where we are, in a bow over a point that lies `off` of the way from there to the middle of the island.
function inland(off, to_x, to_y,   i, s, x, y, vx, vy) {
    x = PX[np - 1]; y = PY[np - 1]
    vx = (x + to_x) / 2 * (1 - off); vy = (y + to_y) / 2 * (1 - off)
    for (i = 1; i <= 200; i++) {
        s = i / 200
        step((1 - s) ^ 2 * x + 2 * s * (1 - s) * vx + s * s * to_x, (1 - s) ^ 2 * y + 2 * s * (1 - s) * vy + s * s * to_y)
    }
}
function loop_around(x, y, r,   i, a, w) {
    w = random()
    for (i = 0; i <= 360; i++) {
        a = 2 * PI * i / 360
        step(x + r * (1 + 0.2 * sin(3 * a + 6 * w)) * sin(a), y + r * (1 + 0.15 * cos(2 * a + w)) * cos(a))
    }
}

# Writes what was put together: a fix every few seconds, beside the true way by a slowly wandering error.
function record(day, hour, name, type, km_h,   file, every, i, d, f, need, clock, ex, ey, bx, by, x, y) {
    file = out "/activities/" day "-" type ".gpx"
    every = type == "hiking" ? 12 : 5
    need = 0; clock = hour * 3600 + int(3000 * random())
    bx = 3 * gauss() / 2; by = 3 * gauss() / 2; ex = 5 * gauss(); ey = 5 * gauss()
    open_gpx(file, name, type)
    for (i = 0; i + 1 < np; i++) {
        d = sqrt((PX[i + 1] - PX[i]) ^ 2 + (PY[i + 1] - PY[i]) ^ 2)
        for (; need < d; need += km_h / 3.6 * every * (0.8 + 0.4 * random())) {
            f = need / d
            x = PX[i] + f * (PX[i + 1] - PX[i]) + bx + ex
            y = PY[i] + f * (PY[i + 1] - PY[i]) + by + ey
            printf "<trkpt %s><time>%sT%02d:%02d:%02dZ</time></trkpt>\n", position(x, y), day, int(clock / 3600),
                int(clock / 60) % 60, clock % 60 > file
            clock += every
            ex = 0.95 * ex + 1.5 * gauss(); ey = 0.95 * ey + 1.5 * gauss()
        }
        need -= d
    }
    close_gpx(file)
    np = 0
}

function hike(day, name, t, a, b) { along(t, a, b); record(day, 8, name, "hiking", 4.6) }
function there_and_back(day, name, t, a, b) { along(t, a, b); along(t, b, a); record(day, 9, name, "hiking", 4.9) }
function run_along(day, name, t, a, b) { along(t, a, b); along(t, b, a); record(day, 17, name, "running", 10.5) }
function run_elsewhere(day, name, r) { loop_around(TOWN_X, TOWN_Y, r); record(day, 18, name, "running", 11) }

function history(   i, m) {
    # A holiday: four days in a row, with a night at an inn off the trail.
    hike("2025-05-24", "Day 1: from the harbour", COAST, 0, 16.4)
    hike("2025-05-25", "Day 2: the white cliffs", COAST, 16.3, 33.9)
    along(COAST, 33.9, 41.2)
    for (m = 0; M[COAST, m] < 44700; m++) continue
    inland(0.24, X[COAST, m], Y[COAST, m])
    along(COAST, M[COAST, m] / 1000, 49.5)
    record("2025-05-26", 8, "Day 3: the inn in the hills", "hiking", 4.6)
    hike("2025-05-27", "Day 4: dunes", COAST, 49.5, 56.3)
    # Single days, some of them the other way round, some where one has been before.
    hike("2025-06-14", "North cape", COAST, 96.8, 90.2)
    hike("2025-07-05", "Around the bay", COAST, 112.6, 106.3)
    hike("2025-07-26", "Harbour and back by the cliffs", COAST, 9.5, -2.2)
    hike("2025-08-16", "Ridge, the southern half", RIDGE, 0, 13.6)
    hike("2025-09-13", "Cliffs once more", COAST, 14.0, 24.5)
    hike("2025-10-11", "Lighthouse", COAST, 70.4, 67.7)
    there_and_back("2025-06-28", "To the sea stack", COAST, 79.5, 82.4)
    there_and_back("2025-08-30", "Ridge viewpoint", RIDGE, 21.9, 19.8)
    # Crosses the ridge trail, and earns nothing on it.
    for (m = 0; M[RIDGE, m] < 17000; m++) continue
    i = sqrt((X[RIDGE, m + 9] - X[RIDGE, m]) ^ 2 + (Y[RIDGE, m + 9] - Y[RIDGE, m]) ^ 2)
    for (d = -3000; d <= 3000; d += 50)
        step(X[RIDGE, m] - d * (Y[RIDGE, m + 9] - Y[RIDGE, m]) / i, Y[RIDGE, m] + d * (X[RIDGE, m + 9] - X[RIDGE, m]) / i)
    record("2025-09-27", 10, "Over the saddle", "cycling", 19)
    # The usual evenings.
    for (i = 1; i <= 9; i++) run_along("2025-0" i "-09", "Harbour run", COAST, 0.4, 2.2 + 0.3 * i)
    for (i = 1; i <= 18; i++)
        run_elsewhere(sprintf("2025-%02d-%02d", 1 + int(i / 2), 3 + 8 * (i % 3)), "Park loop", 700 + 60 * (i % 5))
}

BEGIN {
    PI = 3.14159265358979; seed = 20250524
    LAT = 48.2; LON = -22.4; RADIUS = 13400; TOWN_X = 52000; TOWN_Y = 9000
    COAST = 1; RIDGE = 2
    make_coast(COAST)
    make_ridge(RIDGE, COAST, 1500, 60)
    write_route(COAST, out "/routes/lantern-coast-path.gpx", "Lantern Island Coast Path")
    write_route(RIDGE, out "/routes/lantern-ridgeway.gpx", "Lantern Island Ridgeway")
    history()
}
