//! A timeline as text: a column for each patch, time goes down.

use std::iter;

use super::clean;
use crate::patch::timeline::{Moment, Scene, Standing, Timeline};

/// What the bars mean.
const LEGEND: &str = "┃ all tasks run the patch's code   ┊ some tasks do   · loaded, and no task does";

/// Draws all scenes.
pub(super) fn draw(timeline: &Timeline) -> String {
    let mut lines = Vec::new();
    for scene in &timeline.scenes {
        lines.extend(draw_scene(&timeline.patches, scene));
        lines.push(String::new());
    }
    lines.push(LEGEND.into());
    lines.extend(timeline.notes.iter().map(|note| clean(note)));
    lines.into_iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn draw_scene(patches: &[String], scene: &Scene) -> Vec<String> {
    let rows: Vec<Vec<String>> =
        iter::once(iter::once(String::new()).chain(patches.iter().cloned()).collect())
            .chain(scene.moments.iter().flat_map(|moment| draw_moment(patches, moment)))
            .map(|row: Vec<String>| row.iter().map(|cell| clean(cell)).collect())
            .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=patches.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("  {}", cells.collect::<Vec<_>>().join("  "))
    };
    iter::once(clean(&scene.title)).chain(rows.iter().map(line)).collect()
}

/// A line for each call; the first has the action.
fn draw_moment(patches: &[String], moment: &Moment) -> Vec<Vec<String>> {
    let line = |number: usize| {
        let action = if number == 0 { moment.action.clone() } else { String::new() };
        let step = moment.calls.get(number);
        let lanes = patches.iter().zip(&moment.standings).map(|(patch, standing)| {
            let call = step.filter(|step| step.call.patch == *patch).map(ToString::to_string);
            format!("{} {}", bar(*standing), call.unwrap_or_default())
        });
        iter::once(action).chain(lanes).collect()
    };
    (0..moment.calls.len().max(1)).map(line).collect()
}

fn bar(standing: Standing) -> char {
    match standing {
        Standing::Unloaded => ' ',
        Standing::Nobody => '·',
        Standing::Some => '┊',
        Standing::All => '┃',
    }
}
