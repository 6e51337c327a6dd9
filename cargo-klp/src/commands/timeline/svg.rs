//! A timeline as SVG: a lane for each patch, time goes down.

use svg::Document;
use svg::node::element::{Group, Line, Rectangle, Text, Title};

use super::clean;
use crate::patch::timeline::{Moment, Scene, Standing, Timeline};

/// The height of a line, in pixels, as all measures here.
const LINE: usize = 20;
/// The width of a letter.
const LETTER: usize = 8;
/// The size of letters that have this width.
const FONT_SIZE: usize = 13;
/// The space around the drawings, and between columns.
const MARGIN: usize = 16;
/// The width of a bar.
const BAR: usize = 10;

/// Colors that differ in lightness too, for readers who cannot tell colors apart.
const COLORS: [&str; 4] = ["#005aa0", "#e17800", "#6ebee6", "#783c14"];
/// What fails.
const RED: &str = "#b00020";
const GRAY: &str = "#666666";

/// Draws all scenes, one below the other.
pub(super) fn draw(timeline: &Timeline) -> Document {
    let columns = Columns::of(timeline);
    let mut pen = Pen { group: Group::new(), line: 0 };
    for scene in &timeline.scenes {
        draw_scene(&mut pen, &columns, &timeline.patches, scene);
        pen.line += 1;
    }
    draw_legend(&mut pen);
    for note in &timeline.notes {
        pen.text(MARGIN, note, GRAY, false);
        pen.line += 1;
    }
    let lines = timeline.scenes.iter().map(|scene| &scene.title).chain(&timeline.notes);
    let longest = lines.map(|line| line.chars().count()).max().unwrap_or(0).max(LEGEND_LETTERS);
    let width = columns.end.max(longest * LETTER + 2 * MARGIN);
    let height = pen.y() + MARGIN;
    Document::new()
        .set("viewBox", (0, 0, width, height))
        .set("width", width)
        .set("height", height)
        .set("role", "img")
        .set("font-family", "monospace")
        .set("font-size", FONT_SIZE)
        .add(Title::new(clean(&format!("What is called in the life of {}", timeline.patches.join(", ")))))
        .add(Rectangle::new().set("width", width).set("height", height).set("fill", "white"))
        .add(pen.group)
}

/// Where the columns are.
struct Columns {
    /// The left end of each lane.
    lanes: Vec<usize>,
    /// The right end of the last.
    end: usize,
}

impl Columns {
    fn of(timeline: &Timeline) -> Self {
        let moments = || timeline.scenes.iter().flat_map(|scene| &scene.moments);
        let actions = moments().map(|moment| moment.action.chars().count());
        let mut at = MARGIN + actions.max().unwrap_or(0) * LETTER + MARGIN;
        let mut lanes = Vec::new();
        for patch in &timeline.patches {
            lanes.push(at);
            let steps = moments().flat_map(|moment| &moment.calls).filter(|step| step.call.patch == *patch);
            let calls = steps.map(|step| step.to_string().chars().count()).max().unwrap_or(0);
            at += BAR + LETTER + calls.max(patch.chars().count()) * LETTER + MARGIN;
        }
        Self { lanes, end: at }
    }
}

/// Draws line by line.
struct Pen {
    group: Group,
    line: usize,
}

impl Pen {
    /// The upper end of the line.
    fn y(&self) -> usize {
        MARGIN + self.line * LINE
    }

    fn add(&mut self, node: impl Into<Box<dyn svg::Node>>) {
        let group = std::mem::replace(&mut self.group, Group::new());
        self.group = group.add(node);
    }

    fn text(&mut self, x: usize, text: &str, color: &str, is_bold: bool) {
        let mut node = Text::new(clean(text)).set("x", x).set("y", self.y() + LINE - 6).set("fill", color);
        if is_bold {
            node = node.set("font-weight", "bold");
        }
        self.add(node);
    }

    /// The bar of a patch, which joins that of the line above.
    fn bar(&mut self, x: usize, standing: Standing, color: &str) {
        let (y, bar) = (self.y(), Rectangle::new().set("x", x).set("width", BAR));
        match standing {
            Standing::Unloaded => {}
            Standing::All => self.add(bar.set("y", y).set("height", LINE).set("fill", color)),
            Standing::Some => {
                for part in 0..LINE / 5 {
                    self.add(bar.clone().set("y", y + part * 5).set("height", 2).set("fill", color));
                }
            }
            Standing::Nobody => {
                let x = x + BAR / 2;
                let line = Line::new().set("x1", x).set("x2", x).set("y1", y).set("y2", y + LINE);
                self.add(line.set("stroke", GRAY).set("stroke-dasharray", "1 3"));
            }
        }
    }
}

fn draw_scene(pen: &mut Pen, columns: &Columns, patches: &[String], scene: &Scene) {
    pen.text(MARGIN, &scene.title, "black", true);
    pen.line += 1;
    for ((x, patch), color) in columns.lanes.iter().zip(patches).zip(COLORS.iter().cycle()) {
        pen.text(*x, patch, color, true);
    }
    pen.line += 1;
    for moment in &scene.moments {
        draw_moment(pen, columns, patches, moment);
    }
}

fn draw_moment(pen: &mut Pen, columns: &Columns, patches: &[String], moment: &Moment) {
    pen.text(MARGIN, &moment.action, "black", false);
    for number in 0..moment.calls.len().max(1) {
        let lanes = columns.lanes.iter().zip(patches).zip(&moment.standings).zip(COLORS.iter().cycle());
        for (((x, patch), standing), color) in lanes {
            pen.bar(*x, *standing, color);
            if let Some(step) = moment.calls.get(number).filter(|step| step.call.patch == *patch) {
                let color = if step.fails { RED } else { "black" };
                pen.text(x + BAR + LETTER, &step.to_string(), color, step.fails);
            }
        }
        pen.line += 1;
    }
}

/// The letters of the legend, with its bars.
const LEGEND_LETTERS: usize = 80;

fn draw_legend(pen: &mut Pen) {
    let mut x = MARGIN;
    for (standing, text) in [
        (Standing::All, "all tasks run the patch's code"),
        (Standing::Some, "some tasks do"),
        (Standing::Nobody, "loaded, and no task does"),
    ] {
        pen.bar(x, standing, GRAY);
        pen.text(x + BAR + LETTER, text, GRAY, false);
        x += BAR + (text.len() + 3) * LETTER;
    }
    pen.line += 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::modelled::{Call, Owner};
    use crate::patch::timeline::Step;

    #[test]
    fn each_call_and_each_name_is_drawn() {
        let call = Call {
            patch: "a<b".into(),
            callback: "pre_patch".into(),
            of: Owner::Object("vmlinux".into()),
            from: None,
        };
        let moment = Moment {
            action: "insmod a<b\u{1b}".into(),
            standings: vec![Standing::All, Standing::Some],
            calls: vec![Step { call, state: None, fails: true }],
        };
        let timeline = Timeline {
            patches: vec!["a<b".into(), "c".into()],
            scenes: vec![Scene { title: "It fails".into(), moments: vec![moment] }],
            notes: vec!["A note.".into()],
        };
        let svg = draw(&timeline).to_string();
        for text in ["It fails", "insmod a&lt;b ", "\nc\n", "pre_patch of vmlinux fails", "A note."] {
            assert!(svg.contains(text), "{text} is not in {svg}");
        }
        assert!(!svg.contains('\u{1b}') && !svg.contains("a<b"), "{svg}");
    }
}
