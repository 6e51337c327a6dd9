//! Draws charts as SVG.

use std::error::Error as StdError;

use plotters::prelude::*;

use super::measure::{Chart, Curve};

/// Width and height of a chart, in pixels.
const SIZE: (u32, u32) = (760, 420);

/// Colours that differ in lightness too, for readers who cannot tell colours apart.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 90, 160), RGBColor(225, 120, 0), RGBColor(110, 190, 230), RGBColor(120, 60, 20)];

/// Draws a chart.
pub(crate) fn draw(chart: &Chart) -> Result<String, Box<dyn StdError>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let points = || chart.curves.iter().flat_map(|curve| &curve.points);
        let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(1.0, f64::max);
        let (right, top) = (most(|point| point.0), most(|point| point.1) * 1.05);
        let mut area = ChartBuilder::on(&root)
            .caption(&chart.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(90)
            .build_cartesian_2d(0.0..right, 0.0..top)?;
        let [x, y] = &chart.axes;
        area.configure_mesh().x_desc(x).y_desc(y).light_line_style(WHITE).draw()?;
        for (Curve { name, points }, colour) in chart.curves.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            area.draw_series(LineSeries::new(points.iter().copied(), style).point_size(3))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        area.configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
        root.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_curve_is_drawn() {
        let curve = |name: &str, times: f64| Curve {
            name: name.into(),
            points: vec![(0.0, 0.0), (10.0, 10.0 * times)],
        };
        let chart = Chart {
            file: "chart".into(),
            title: "What grows".into(),
            axes: ["states".into(), "instructions".into()],
            curves: vec![curve("klp", 1.0), curve("C", 2.0)],
        };
        let svg = draw(&chart).unwrap();
        for text in ["What grows", "states", "instructions", "klp"] {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
        assert!(svg.matches("<polyline").count() >= 2, "{svg}");
    }
}
