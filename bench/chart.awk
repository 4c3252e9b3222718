# SPDX-License-Identifier: MIT
#
# bench/chart.awk - figures in, SVG out; what all charts of the bench have in common.
#
# awk -f chart.awk -f WHAT.awk: the second file reads the CSV file, calls show() for each
# contender and figure() for each figure, sets title, about, subtitle and caption, and says
# what stands at the axes: x_text(x), y_tick(y), y_text(y).
#
# Values of x stand at even distances; y is on a logarithmic axis.  Colour tells the
# family, the dashes of a line the bare system under it.  Names stand at the
# right ends, pushed apart where lines meet; peers whose ends coincide share one name.
# The picture paints its own background, so that it can be read whatever the page
# around it looks like.

# contender, class of the line, name at its end
function show(contender, class, name)
{
        shown[++shown_count] = contender
        class_of[contender] = class
        name_of[contender] = name
}

# One point of a contender's line.
function figure(contender, x, y)
{
        if (!(x in x_known)) {
                x_known[x] = 1
                xs[++x_count] = x
        }
        value[contender, x] = y
        if (!lowest || y < lowest)
                lowest = y
        if (y > highest)
                highest = y
}

BEGIN {
        left = 70; top = 76; width = 540; height = 380; right = 330; bottom = 62
}

function log10(v) { return log(v) / log(10) }

function x_of(i) { return left + (x_count > 1 ? width * (i - 1) / (x_count - 1) : width / 2) }

function y_of(y) { return top + height * (1 - (log10(y) - decade_low) / (decade_high - decade_low)) }

function sort_xs(    i, j, t)
{
        for (i = 2; i <= x_count; i++)
                for (j = i; j > 1 && xs[j - 1] > xs[j]; j--) {
                        t = xs[j]; xs[j] = xs[j - 1]; xs[j - 1] = t
                }
}

function print_head()
{
        printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-labelledby=\"title about\">\n",
                left + width + right, top + height + bottom, left + width + right, top + height + bottom
        print "<title id=\"title\">" title "</title>"
        print "<desc id=\"about\">" about "</desc>"
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
        printf "<text class=\"title\" x=\"%d\" y=\"32\">%s</text>\n", left, title
        printf "<text class=\"quiet\" x=\"%d\" y=\"54\">%s</text>\n", left, subtitle
}

function print_axes(    d, m, i)
{
        for (d = decade_low; d <= decade_high; d++) {
                printf "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", left, y_of(10 ^ d), left + width
                printf "<text class=\"quiet\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", left - 8,
                        y_of(10 ^ d) + 4, y_tick(10 ^ d)
                for (m = 2; m < 10 && d < decade_high; m++)
                        printf "<path class=\"grid fine\" d=\"M%d %.1fH%d\"/>\n", left, y_of(m * 10 ^ d), left + 5
        }
        for (i = 1; i <= x_count; i++) {
                printf "<path class=\"grid fine\" d=\"M%.1f %dV%d\"/>\n", x_of(i), top, top + height
                printf "<text class=\"quiet\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x_of(i),
                        top + height + 20, x_text(xs[i])
        }
        printf "<text class=\"quiet\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                left + width / 2, top + height + 44, caption
}

# The line, and at its last point a label to be placed.
function print_line(contender,    i, path, last)
{
        for (i = 1; i <= x_count; i++)
                if ((contender, xs[i]) in value) {
                        path = path sprintf("%s%.1f %.1f", path == "" ? "M" : "L", x_of(i), y_of(value[contender, xs[i]]))
                        last = i
                }
        if (path == "")
                return
        printf "<path class=\"line %s\" d=\"%s\"/>\n", class_of[contender], path
        labels++
        label_x[labels] = x_of(last)
        label_value[labels] = value[contender, xs[last]]
        label_end[labels] = y_of(label_value[labels])
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
                        label_value[n] = (label_value[n] * label_count[n] + label_value[i]) / (label_count[n] + 1)
                        label_count[n]++
                        label_text[n] = label_text[n] ", " label_text[i]
                } else {
                        kept++
                        label_count[kept] = 1
                        label_x[kept] = label_x[i]; label_value[kept] = label_value[i]; label_end[kept] = label_end[i]
                        label_class[kept] = label_class[i]; label_text[kept] = label_text[i]
                }
        }
        labels = kept
}

function swap_labels(a, b,    t)
{
        t = label_x[a]; label_x[a] = label_x[b]; label_x[b] = t
        t = label_value[a]; label_value[a] = label_value[b]; label_value[b] = t
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
                        label_class[i], x, label_y[i] + 4.5, label_text[i], y_text(label_value[i])
        }
}

END {
        if (!x_count) {
                print "chart.awk: no figures in the input" > "/dev/stderr"
                exit 1
        }
        decade_low = int(log10(lowest))
        decade_high = int(log10(highest)) + 1
        sort_xs()
        print_head()
        print_axes()
        for (n = 1; n <= shown_count; n++)
                print_line(shown[n])
        merge_labels()
        place_labels()
        print_labels()
        print "</svg>"
}
