# SPDX-License-Identifier: MIT
#
# bench/plot.awk - start-cost.csv in, SVG out.
#
# Sizes stand at even distances, from 0 upward; the cost is on a logarithmic
# axis.  Colour tells the family, the dashes of a line the bare system under
# it.  Names stand at the right ends, pushed apart where lines meet; peers whose
# ends coincide share one name.  The picture paints its own background, so that it
# can be read whatever the page around it looks like.

# contender, class of the line, name at its end
function show(contender, class, name)
{
        shown[++shown_count] = contender
        class_of[contender] = class
        name_of[contender] = name
}

BEGIN {
        left = 70; top = 76; width = 540; height = 380; right = 330; bottom = 62
        show("libuv", "peer", "libuv")
        show("glib", "peer", "GLib")
        show("glib_leave_fds", "peer", "GLib, descriptors left open")
        show("apr", "peer", "APR")
        show("boost", "peer", "Boost.Process")
        show("python_fork", "python", "Python fork")
        show("python_spawn", "python", "Python spawn")
        show("python_forkserver", "python", "Python forkserver")
        show("raw_fork", "fork raw", "fork + wait")
        show("posix_spawn", "spawn raw", "posix_spawn")
        show("bare_server", "server raw", "bare fork server")
        show("mproc_fork", "fork ours", "mproc fork")
        show("mproc_spawn", "spawn ours", "mproc spawn")
        show("mproc_forkserver", "server ours", "mproc forkserver")
}

NR > 1 {
        sub(/"[^"]*"/, "") # the label may hold commas
        split($0, field, ",")
        if (!(field[3] in size_index)) {
                size_index[field[3]] = 1
                sizes[++size_count] = field[3] + 0
        }
        cost[field[1], field[3] + 0] = field[5] + 0
        if (!lowest || field[5] + 0 < lowest)
                lowest = field[5] + 0
        if (field[5] + 0 > highest)
                highest = field[5] + 0
}

function log10(v) { return log(v) / log(10) }

function x_of(i) { return left + (size_count > 1 ? width * (i - 1) / (size_count - 1) : width / 2) }

function y_of(us) { return top + height * (1 - (log10(us) - decade_low) / (decade_high - decade_low)) }

function size_text(mib)
{
        if (mib == 0)
                return "0"
        return mib % 1024 == 0 ? mib / 1024 " GiB" : mib " MiB"
}

function time_text(us)
{
        if (us < 1000)
                return sprintf("%.2f ms", us / 1000)
        if (us < 10000)
                return sprintf("%.1f ms", us / 1000)
        return sprintf("%.0f ms", us / 1000)
}

function sort_sizes(    i, j, t)
{
        for (i = 2; i <= size_count; i++)
                for (j = i; j > 1 && sizes[j - 1] > sizes[j]; j--) {
                        t = sizes[j]; sizes[j] = sizes[j - 1]; sizes[j - 1] = t
                }
}

function print_head()
{
        printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-labelledby=\"title about\">\n",
                left + width + right, top + height + bottom, left + width + right, top + height + bottom
        print "<title id=\"title\">What it costs to start a process</title>"
        print "<desc id=\"about\">Time for start, exit and join of an empty child over the private memory of the parent, mproc beside the bare system, C libraries and Python.</desc>"
        print "<style>"
        print "text { font: 13px system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif; fill: #1f2328 }"
        print ".title { font-size: 18px; font-weight: 600 } .quiet { fill: #59636e }"
        print ".back { fill: #ffffff; stroke: #d1d9e0 } .grid { stroke: #d1d9e0; stroke-width: 1 } .fine { stroke-opacity: .45 }"
        print ".line { fill: none; stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round } .lead { fill: none; stroke-width: 1; stroke-opacity: .6 }"
        print ".ours { stroke-width: 3.2 } .raw { stroke-dasharray: 5 5 } text.ours { stroke: none; font-weight: 600 } text.raw { stroke: none }"
        print ".spawn { stroke: #0969da } .server { stroke: #1a7f37 } .fork { stroke: #bc4c00 } .peer { stroke: #6e7781 } .python { stroke: #8250df }"
        print "text.spawn { fill: #0969da } text.server { fill: #1a7f37 } text.fork { fill: #bc4c00 } text.peer { fill: #59636e } text.python { fill: #8250df }"
        print "text.spawn, text.server, text.fork, text.peer, text.python { stroke: none }"
        print "@media (prefers-color-scheme: dark) {"
        print "text { fill: #e6edf3 } .quiet { fill: #9198a1 } .back { fill: #0d1117; stroke: #3d444d } .grid { stroke: #3d444d }"
        print ".spawn { stroke: #58a6ff } .server { stroke: #3fb950 } .fork { stroke: #f0883e } .peer { stroke: #9198a1 } .python { stroke: #bc8cff }"
        print "text.spawn { fill: #58a6ff } text.server { fill: #3fb950 } text.fork { fill: #f0883e } text.peer { fill: #9198a1 } text.python { fill: #bc8cff }"
        print "}"
        print "</style>"
        printf "<rect class=\"back\" x=\".5\" y=\".5\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n",
                left + width + right - 1, top + height + bottom - 1
        printf "<text class=\"title\" x=\"%d\" y=\"32\">What it costs to start a process</text>\n", left
        printf "<text class=\"quiet\" x=\"%d\" y=\"54\">start, exit and join of an empty child, median; dashed: the bare system calls; lower is better</text>\n", left
}

function print_axes(    d, m, i)
{
        for (d = decade_low; d <= decade_high; d++) {
                printf "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", left, y_of(10 ^ d), left + width
                printf "<text class=\"quiet\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s ms</text>\n", left - 8,
                        y_of(10 ^ d) + 4, 10 ^ (d - 3)
                for (m = 2; m < 10 && d < decade_high; m++)
                        printf "<path class=\"grid fine\" d=\"M%d %.1fH%d\"/>\n", left, y_of(m * 10 ^ d), left + 5
        }
        for (i = 1; i <= size_count; i++) {
                printf "<path class=\"grid fine\" d=\"M%.1f %dV%d\"/>\n", x_of(i), top, top + height
                printf "<text class=\"quiet\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x_of(i),
                        top + height + 20, size_text(sizes[i])
        }
        printf "<text class=\"quiet\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">private memory of the parent</text>\n",
                left + width / 2, top + height + 44
}

# The line, and at its last point a label to be placed.
function print_line(contender,    i, path, last)
{
        for (i = 1; i <= size_count; i++)
                if ((contender, sizes[i]) in cost) {
                        path = path sprintf("%s%.1f %.1f", path == "" ? "M" : "L", x_of(i), y_of(cost[contender, sizes[i]]))
                        last = i
                }
        if (path == "")
                return
        printf "<path class=\"line %s\" d=\"%s\"/>\n", class_of[contender], path
        labels++
        label_x[labels] = x_of(last)
        label_us[labels] = cost[contender, sizes[last]]
        label_end[labels] = y_of(label_us[labels])
        label_class[labels] = class_of[contender]
        label_text[labels] = name_of[contender]
}

# Peers that end within a few pixels of each other become one label, at their mean.
function merge_labels(    i, j, kept, n)
{
        for (i = 1; i <= labels; i++) {
                n = 0
                if (label_class[i] == "peer")
                        for (j = 1; j <= kept && !n; j++)
                                if (label_class[j] == "peer" && label_x[j] == label_x[i] &&
                                        (label_end[j] - label_end[i]) ^ 2 < 64)
                                        n = j
                if (n) {
                        label_us[n] = (label_us[n] * label_count[n] + label_us[i]) / (label_count[n] + 1)
                        label_count[n]++
                        label_text[n] = label_text[n] ", " label_text[i]
                } else {
                        kept++
                        label_count[kept] = 1
                        label_x[kept] = label_x[i]; label_us[kept] = label_us[i]; label_end[kept] = label_end[i]
                        label_class[kept] = label_class[i]; label_text[kept] = label_text[i]
                }
        }
        labels = kept
}

function swap_labels(a, b,    t)
{
        t = label_x[a]; label_x[a] = label_x[b]; label_x[b] = t
        t = label_us[a]; label_us[a] = label_us[b]; label_us[b] = t
        t = label_end[a]; label_end[a] = label_end[b]; label_end[b] = t
        t = label_class[a]; label_class[a] = label_class[b]; label_class[b] = t
        t = label_text[a]; label_text[a] = label_text[b]; label_text[b] = t
}

# Sorted from the top, each at least a line's height under the one above; then the
# pile as a whole is moved up by what it has grown beyond the middle.
function place_labels(    i, j, again)
{
        for (i = 2; i <= labels; i++)
                for (j = i; j > 1 && label_end[j - 1] > label_end[j]; j--)
                        swap_labels(j, j - 1)
        for (i = 1; i <= labels; i++)
                label_y[i] = label_end[i]
        for (again = 1; again <= 200; again++)
                for (i = 2; i <= labels; i++)
                        if (label_y[i] - label_y[i - 1] < 17) {
                                gap = (17 - (label_y[i] - label_y[i - 1])) / 2
                                label_y[i - 1] -= gap
                                label_y[i] += gap
                        }
}

function print_labels(    i, x)
{
        x = left + width + 26
        for (i = 1; i <= labels; i++) {
                printf "<path class=\"lead %s\" style=\"stroke-width:1;stroke-dasharray:none\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n",
                        label_class[i], label_x[i] + 3, label_end[i], x - 4, label_y[i]
                printf "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s <tspan class=\"quiet\">%s</tspan></text>\n",
                        label_class[i], x, label_y[i] + 4.5, label_text[i], time_text(label_us[i])
        }
}

END {
        if (!size_count) {
                print "plot.awk: no figures in the input" > "/dev/stderr"
                exit 1
        }
        decade_low = int(log10(lowest))
        decade_high = int(log10(highest)) + 1
        sort_sizes()
        print_head()
        print_axes()
        for (n = 1; n <= shown_count; n++)
                print_line(shown[n])
        merge_labels()
        place_labels()
        print_labels()
        print "</svg>"
}
