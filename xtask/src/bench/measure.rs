//! Figures, their goals and charts, as the JSON contains them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The figures of a run, and the machine that measured them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// Properties of the machine, by name.
    pub(crate) machine: BTreeMap<String, String>,
    /// Figures by the name of the part.
    pub(crate) parts: BTreeMap<String, Figures>,
}

/// The figures of a part.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Rows of the table, in order.
    pub(crate) measurements: Vec<Measurement>,
    /// Charts below the table.
    #[serde(default)]
    pub(crate) charts: Vec<Chart>,
}

/// One row: the figure of a patch written with klp, and of the same patch in C.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// The name of the row.
    pub(crate) name: String,
    /// The unit of all figures.
    pub(crate) unit: String,
    /// The figure of the patch written with klp.
    pub(crate) ours: f64,
    /// The figure of the patch in C, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) c: Option<f64>,
    /// The figure of the patch that a tool makes from a diff, if that is compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) diff_based: Option<f64>,
    /// The goal, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) goal: Option<Goal>,
    /// Whether the goal is met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) met: Option<bool>,
}

/// The upper limit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// In the figure's own unit.
    AtMost(f64),
    /// As a multiple of C's figure.
    TimesC(f64),
    /// As a difference from C's figure.
    AboveC(f64),
}

/// Curves with the same axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Chart {
    /// The name of the chart's file, without the suffix.
    pub(crate) file: String,
    /// The caption.
    pub(crate) title: String,
    /// The names of the horizontal and the vertical axis.
    pub(crate) axes: [String; 2],
    /// The curves.
    pub(crate) curves: Vec<Curve>,
}

/// A named sequence of points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Curve {
    /// The name in the legend.
    pub(crate) name: String,
    /// The points.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Measurement {
    /// Makes a row without a goal.
    pub(crate) fn new(name: impl Into<String>, unit: &str, ours: f64, c: Option<f64>) -> Self {
        Self { name: name.into(), unit: unit.into(), ours, c, diff_based: None, goal: None, met: None }
    }

    /// Sets the goal, and whether it is met.
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.met = match (goal, self.c) {
            (Goal::AtMost(most), _) => Some(self.ours <= most),
            (Goal::TimesC(times), Some(c)) => Some(self.ours <= c * times),
            (Goal::AboveC(more), Some(c)) => Some(self.ours <= c + more),
            (_, None) => None,
        };
        self.goal = Some(goal);
        self
    }

    /// Sets the figure of the diff-based tool.
    pub(crate) fn diff_based(mut self, figure: f64) -> Self {
        self.diff_based = Some(figure);
        self
    }

    /// Our figure divided by C's.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.c.filter(|c| *c != 0.0).map(|c| self.ours / c)
    }
}

/// The median of several figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The slope of the line that fits the points best (least squares).
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    sum(&|point| (point.0 - x) * (point.1 - y)) / sum(&|point| (point.0 - x).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_held_against_c() {
        let figure = |ours, c, goal| Measurement::new("", "", ours, c).goal(goal).met;
        assert_eq!(figure(3.0, None, Goal::AtMost(3.0)), Some(true));
        assert_eq!(figure(3.1, None, Goal::AtMost(3.0)), Some(false));
        assert_eq!(figure(3.0, Some(2.0), Goal::TimesC(1.5)), Some(true));
        assert_eq!(figure(3.1, Some(2.0), Goal::TimesC(1.5)), Some(false));
        assert_eq!(figure(12.0, Some(2.0), Goal::AboveC(10.0)), Some(true));
        assert_eq!(figure(12.1, Some(2.0), Goal::AboveC(10.0)), Some(false));
        assert_eq!(figure(1.0, None, Goal::TimesC(1.5)), None);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn the_slope_of_a_line() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (10.0, 21.0)]), 2.0);
    }
}
