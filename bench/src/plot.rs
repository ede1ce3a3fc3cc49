//! Plots as SVG, drawn by hand: bars of ratios on a logarithmic axis, and lines of cost against size.

use crate::front::Family;
use crate::measure::Spread;
use crate::report::{Curve, Table, seconds};
use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
/// Wider, for the long names beside the lines.
const LINES_WIDTH: f64 = 920.0;
const LEFT: f64 = 300.0;
const RIGHT: f64 = 70.0;
const ROW: f64 = 19.0;
const PLOT_HEIGHT: f64 = 300.0;
const LINE_COLOURS: &[&str] = &["#d9480f", "#1c7ed6", "#2b8a3e", "#7048e8", "#868e96", "#e67700"];

/// A logarithmic or linear axis from data to pixels.
#[derive(Clone, Copy, Debug)]
struct Axis {
    from: f64,
    to: f64,
    begin: f64,
    end: f64,
    is_log: bool,
}

impl Axis {
    /// Spans values that are above zero, rounded out to powers of ten.
    fn log(low: f64, high: f64, begin: f64, end: f64) -> Self {
        let (from, to) = (low.max(1e-9).log10().floor(), high.max(1e-9).log10().ceil());
        Self { from, to: to.max(from + 1.0), begin, end, is_log: true }
    }

    fn linear(high: f64, begin: f64, end: f64) -> Self {
        Self { from: 0.0, to: high.max(1e-9), begin, end, is_log: false }
    }

    fn at(self, value: f64) -> f64 {
        let value = if self.is_log { value.max(1e-9).log10() } else { value };
        self.begin + (value - self.from) / (self.to - self.from) * (self.end - self.begin)
    }

    /// Returns the values at which lines are drawn.
    fn ticks(self) -> Vec<f64> {
        if self.is_log {
            return (self.from as i32..=self.to as i32).map(|power| 10_f64.powi(power)).collect();
        }
        (0..=5).map(|part| self.to * f64::from(part) / 5.0).collect()
    }
}

/// Draws every row of every table as a ratio to its table's reference, in groups; nothing for no tables.
pub(crate) fn bars(title: &str, tables: &[&Table]) -> String {
    let groups: Vec<_> = tables.iter().filter_map(|table| Some((table, table.reference()?))).collect();
    let rows: usize = tables.iter().map(|table| table.samples.len()).sum();
    let bottom = 40.0 + ROW * (rows + tables.len() * 2) as f64;
    let ratio = |own: &[f64], reference: &[f64]| Spread::of_ratios(own, reference);
    let all = groups.iter().flat_map(|(table, reference)| {
        table.samples.iter().map(|row| ratio(&row.wall, &reference.wall).median)
    });
    let (low, high) = all.fold((1.0_f64, 1.0_f64), |(low, high), median| (low.min(median), high.max(median)));
    let axis = Axis::log(low, high, LEFT, WIDTH - RIGHT);
    let mut svg = begin(title, WIDTH, bottom + 30.0);
    for tick in axis.ticks() {
        let x = axis.at(tick);
        svg += &stroke((x, 34.0), (x, bottom), "#dee2e6");
        svg += &text(x, bottom + 16.0, "middle", "#495057", &format!("{tick} x"));
    }
    let mut y = 40.0;
    for (table, reference) in groups {
        y += ROW * 1.4;
        let to = format!("{} (1 = {})", table.name, reference.name);
        svg += &text(8.0, y, "start", "#212529", &to);
        for row in &table.samples {
            y += ROW;
            let spread = ratio(&row.wall, &reference.wall);
            let (one, x) = (axis.at(1.0), axis.at(spread.median));
            let (from, width) = (one.min(x), (one - x).abs().max(1.5));
            svg += &text(LEFT - 8.0, y, "end", "#495057", &row.name);
            let colour = colour(row.family);
            let _ = writeln!(
                svg,
                r#"<rect x="{from:.1}" y="{:.1}" width="{width:.1}" height="11" fill="{colour}"/>"#,
                y - 10.0
            );
            svg += &stroke((axis.at(spread.lower), y - 4.5), (axis.at(spread.upper), y - 4.5), "#212529");
            svg += &text(one.max(x) + 6.0, y, "start", "#212529", &format!("{:.2}", spread.median));
        }
        y += ROW * 0.6;
    }
    svg + "</svg>\n"
}

/// Draws a curve's lines with their quartiles.
pub(crate) fn lines(curve: &Curve) -> String {
    let points = || curve.lines.iter().flat_map(|line| &line.points);
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let (x_low, x_high) = (least(&mut points().map(|p| p.0)), most(&mut points().map(|p| p.0)));
    let (y_low, y_high) = (least(&mut points().map(|p| p.1.median)), most(&mut points().map(|p| p.1.median)));
    let (left, bottom) = (90.0, 40.0 + PLOT_HEIGHT);
    let is_log = x_low > 0.0;
    let (x, y) = if is_log {
        (Axis::log(x_low, x_high, left, WIDTH - 250.0), Axis::log(y_low, y_high, bottom, 40.0))
    } else {
        (Axis::linear(x_high, left, WIDTH - 250.0), Axis::linear(y_high, bottom, 40.0))
    };
    let mut svg = begin(&curve.name, LINES_WIDTH, bottom + 50.0);
    for tick in x.ticks() {
        svg += &stroke((x.at(tick), 40.0), (x.at(tick), bottom), "#dee2e6");
        svg += &text(x.at(tick), bottom + 16.0, "middle", "#495057", &format!("{tick}"));
    }
    for tick in y.ticks() {
        svg += &stroke((left, y.at(tick)), (WIDTH - 250.0, y.at(tick)), "#dee2e6");
        svg += &text(left - 6.0, y.at(tick) + 4.0, "end", "#495057", &seconds(tick));
    }
    svg += &text((left + WIDTH - 250.0) / 2.0, bottom + 38.0, "middle", "#212529", curve.axis);
    for (number, line) in curve.lines.iter().enumerate() {
        let colour = LINE_COLOURS[number % LINE_COLOURS.len()];
        let path =
            line.points.iter().map(|(size, spread)| format!("{:.1},{:.1}", x.at(*size), y.at(spread.median)));
        let path = path.collect::<Vec<_>>().join(" ");
        let _ =
            writeln!(svg, r#"<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>"#);
        for (size, spread) in &line.points {
            svg += &stroke((x.at(*size), y.at(spread.lower)), (x.at(*size), y.at(spread.upper)), colour);
        }
        let label = 56.0 + ROW * number as f64;
        svg += &stroke((WIDTH - 235.0, label - 4.0), (WIDTH - 215.0, label - 4.0), colour);
        svg += &text(WIDTH - 208.0, label, "start", "#212529", &line.name);
    }
    svg + "</svg>\n"
}

fn colour(family: Family) -> &'static str {
    match family {
        Family::Ours => "#d9480f",
        Family::Peer => "#74c0fc",
        Family::Plain => "#ced4da",
    }
}

fn begin(title: &str, width: f64, height: f64) -> String {
    let head = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">"#
    );
    let paper = format!(r##"<rect width="{width}" height="{height}" fill="#ffffff"/>"##);
    head + "\n" + &paper + "\n" + &text(8.0, 20.0, "start", "#212529", title)
}

fn stroke(from: (f64, f64), to: (f64, f64), colour: &str) -> String {
    format!(
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>\n",
        from.0, from.1, to.0, to.1
    )
}

fn text(x: f64, y: f64, anchor: &str, colour: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{words}</text>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Line;

    #[test]
    fn a_logarithmic_axis_spans_whole_powers_of_ten() {
        let axis = Axis::log(0.2, 150.0, 0.0, 400.0);
        assert_eq!(axis.ticks(), [0.1, 1.0, 10.0, 100.0, 1000.0]);
        assert_eq!((axis.at(0.1), axis.at(1000.0)), (0.0, 400.0));
        assert!((axis.at(10.0) - 200.0).abs() < 1e-9);
    }

    #[test]
    fn words_in_a_plot_are_escaped_and_every_line_is_drawn() {
        let spread = Spread { lower: 1.0, median: 2.0, upper: 3.0 };
        let line = |name: &str| Line { name: name.into(), points: vec![(0.0, spread), (50.0, spread)] };
        let lines_of = vec![line("a<b"), line("c&d")];
        let curve = Curve { name: "x".into(), about: String::new(), axis: "ms", lines: lines_of };
        let svg = lines(&curve);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("a&lt;b") && svg.contains("c&amp;d") && svg.ends_with("</svg>\n"));
    }
}
