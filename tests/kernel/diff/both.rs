//! The model and the kernel, step by step.

use std::ffi::{CStr, CString};
use std::fs;

use klp_runtime::abi::CLAIM_HELD;
use klp_runtime::sim::{self, Sim};
use klp_runtime::sysfs;
use klp_test_support::random::{Configuration, Held};
use rustix::io::Errno;

use super::forget::forget;
use super::sequence::{CRATES, Operation, Parameters};
use crate::guest::{Log, Patch, is_complaint, is_within_limit, of_patch, patches};
use crate::objects::TARGET;
use crate::sleeper::Sleeper;

/// The name of the module that patches redirect.
const TARGET_NAME: &str = "klp_test_target";

/// The directories that patches may have in `/sys/kernel`, and the file in each.
const DIRECTORIES: [&CStr; 3] = [c"klp_test_state1", c"klp_test_state2", c"klp_test_state3"];
const FILE: &CStr = c"made";

/// How many things the module has.
const THINGS: usize = 3;

/// What a step gave: nothing, or an error.
type Outcome = Result<(), Errno>;

/// A task that sleeps in the function that some patches redirect.
struct Asleep {
    sleeper: Sleeper,
    /// The patch whose function it is; none for the kernel's own.
    whose: Option<usize>,
    /// What it has there.
    held: Option<Held>,
}

/// The model and the kernel. After the first difference nothing more is done.
pub(super) struct Both {
    patches: Vec<Configuration>,
    sim: Sim,
    log: Log,
    /// The patches that the kernel lists, in the order of enabling.
    listed: Vec<usize>,
    asleep: Option<Asleep>,
    target: bool,
    /// What was done, to the last operation.
    pub(super) done: Vec<String>,
    /// How they differ, if they do.
    pub(super) difference: Option<String>,
    /// How many lines the patches have logged.
    pub(super) lines: usize,
}

impl Both {
    pub(super) fn new(patches: &[Configuration]) -> Self {
        Self {
            patches: patches.to_vec(),
            sim: Sim::new(),
            log: Log::new(),
            listed: Vec::new(),
            asleep: None,
            target: false,
            done: Vec::new(),
            difference: None,
            lines: 0,
        }
    }

    pub(super) fn apply(&mut self, operation: Operation) {
        if self.difference.is_some() {
            return;
        }
        match operation {
            Operation::Step(patch) if patch < self.patches.len() => self.step(patch),
            Operation::Step(_) => {}
            Operation::Sleep if self.asleep.is_some() => self.wake(),
            Operation::Sleep => self.sleep(),
            Operation::Force => self.force(),
            Operation::Target => self.target(),
            Operation::TargetFails if !self.target => self.target_fails(),
            Operation::TargetFails => {}
            Operation::Look => self.look(),
        }
    }

    /// Ends every patch: nothing may be left of any.
    pub(super) fn end(&mut self) {
        if self.asleep.is_some() {
            self.apply(Operation::Sleep);
        }
        // Patches that are enabled are told of the module's end, here as in the middle.
        self.apply(Operation::Look);
        if self.target {
            self.apply(Operation::Target);
        }
        while self.difference.is_none()
            && let Some(&newest) = self.listed.last()
        {
            self.write_enabled(newest, false);
        }
        self.unload_all();
        if !self.held().is_empty() && self.difference.is_none() {
            self.rescue();
            self.unload_all();
        }
        if self.difference.is_none() && self.held().is_empty() {
            let left = self.sim.leaks();
            self.difference = (!left.is_empty()).then(|| format!("the model has left: {left:#?}"));
        }
        if self.difference.is_none() && (0..CRATES.len()).any(|index| self.is_loaded(index)) {
            forget();
        }
        // Where they differ they have been told already, or are of no more interest.
        self.sim.take_faults();
    }

    fn unload_all(&mut self) {
        for index in 0..CRATES.len() {
            if self.difference.is_none() && self.is_loaded(index) {
                self.unload(index);
            }
        }
    }

    /// The patches that hold states though they are disabled (S13), and the bits of these states.
    fn held(&self) -> Vec<(usize, u32)> {
        // What is wrong with it is a fault of the step before.
        let patches = self.sim.snapshot().map(|snapshot| snapshot.patches).unwrap_or_default();
        let held = |patch: sim::PatchSnapshot| {
            let index = (0..CRATES.len()).find(|index| module(*index) == patch.name)?;
            let claims = patch.claims.iter().filter(|claim| claim.flags & CLAIM_HELD != 0);
            let states = claims.fold(0, |bits, claim| bits | 1 << (claim.state - 1));
            (states != 0).then_some((index, states))
        };
        patches.into_iter().filter_map(held).collect()
    }

    /// Loads a patch that takes every state on and holds none: after it all others let go (S13). What it must have
    /// as those that hold states have it, it has. Where all crates are loaded, as some were forced off, none is
    /// left for it.
    fn rescue(&mut self) {
        let loaded: Vec<_> = (0..CRATES.len()).filter(|index| self.is_loaded(*index)).collect();
        let Some(free) = (0..CRATES.len()).find(|index| !loaded.contains(index)) else { return };
        let is_forced = loaded.iter().any(|index| self.sim.is_forced(&module(*index)));
        let rescue = self.held().iter().fold(rescue(!is_forced), |rescue, (index, states)| Configuration {
            layouts: rescue.layouts | self.patches[*index].layouts & states,
            odd: rescue.odd | self.patches[*index].odd,
            ..rescue
        });
        self.patches.resize(CRATES.len(), Configuration::default());
        self.patches[free] = rescue;
        self.load(free);
        if self.difference.is_none() && self.is_loaded(free) {
            self.write_enabled(free, false);
        }
    }

    fn step(&mut self, index: usize) {
        match self.sim.is_enabled(&module(index)) {
            Some(false) if self.is_below_another(index) => {}
            Some(enabled) => self.write_enabled(index, !enabled),
            None if self.is_loaded(index) => self.unload(index),
            None => self.load(index),
        }
    }

    /// Whether a newer patch redirects one of its functions, too. When the disable of such a patch is reversed, the
    /// kernel takes the head of its list of replacements for the one before (`klp_check_stack_func` of
    /// `kernel/livepatch/transition.c`): it reads what is behind it, and KASAN reports that.
    fn is_below_another(&self, index: usize) -> bool {
        let newer = self.listed.iter().rev().take_while(|newer| **newer != index);
        let shares =
            |func, newer: &usize| self.patches[*newer].redirects(func) && self.patches[index].redirects(func);
        newer.into_iter().any(|newer| Configuration::FUNCS.into_iter().any(|func| shares(func, newer)))
    }

    fn load(&mut self, index: usize) {
        let config = self.patches[index];
        self.done.push(format!("insmod {}.ko {}", CRATES[index].name, Parameters(&config)));
        if self.would_stall(index) {
            self.sim.stall();
        }
        let name = module(index);
        if config.redirects(Configuration::UNPATCHABLE) {
            self.sim.fail_patching(&name, None);
        }
        (CRATES[index].configure)(&config);
        let model = self.sim.insmod(model_of(index, &config));
        self.sim.patching_works(&name);
        if self.sim.in_transition().is_none() {
            self.sim.resume();
        }
        if model.is_ok() {
            self.listed.push(index);
        }
        let parameters = CString::new(Parameters(&config).to_string()).expect("it has no NUL");
        let kernel = patch(index).insert_with(&parameters);
        self.compare(errno(model), kernel);
    }

    /// Writes to the patch's `enabled`: disables it, or reverses its transition.
    fn write_enabled(&mut self, index: usize, enabled: bool) {
        self.done.push(format!("echo {} > {}/enabled", u32::from(enabled), CRATES[index].name));
        let name = module(index);
        let reverses = self.sim.in_transition().as_ref() == Some(&name);
        let sleeps_there = self.asleep.as_ref().is_some_and(|asleep| asleep.whose == Some(index));
        if !reverses && !enabled && sleeps_there {
            self.sim.stall();
        }
        let model = self.sim.write_enabled(&name, enabled);
        if reverses {
            // The task that sleeps is where it should be now.
            self.sim.resume();
        }
        let kernel = patch(index).try_set_enabled(enabled);
        self.compare(errno(model), kernel);
    }

    fn unload(&mut self, index: usize) {
        self.done.push(format!("rmmod {}", CRATES[index].name));
        let model = errno(self.sim.rmmod(&module(index)));
        let mut kernel = patch(index).try_remove();
        if model.is_ok() {
            // The kernel lets go of a disabled patch a moment after it has left sysfs.
            is_within_limit(|| {
                kernel = if kernel.is_err() { patch(index).try_remove() } else { kernel };
                kernel != Err(Errno::AGAIN) && kernel != Err(Errno::BUSY)
            });
        }
        self.compare(model, kernel);
    }

    fn sleep(&mut self) {
        let whose = self.running(Configuration::FIFO);
        let function = if whose.is_some() { "msleep_interruptible" } else { "fifo_open" };
        self.done.push(format!("sleep in {}", whose.map_or("the kernel", |index| CRATES[index].name)));
        let held = whose.map(|index| self.sim.run(&module(index), CRATES[index].fall_asleep));
        self.asleep = Some(Asleep { sleeper: Sleeper::opening_a_fifo("diff", function), whose, held });
        self.compare(Ok(()), Ok(()));
    }

    fn wake(&mut self) {
        self.done.push("end the task that sleeps".into());
        if let Some(Asleep { sleeper, whose, held }) = self.asleep.take() {
            drop(sleeper);
            if let (Some(index), Some(held)) = (whose, held) {
                self.sim.run(&module(index), || (CRATES[index].wake)(held));
            }
        }
        self.sim.resume();
        self.compare(Ok(()), Ok(()));
    }

    /// Forces the transition that the task holds up.
    fn force(&mut self) {
        let Some(name) = self.sim.in_transition() else { return };
        let Some(index) = (0..CRATES.len()).find(|index| module(*index) == name) else { return };
        self.done.push(format!("echo 1 > {}/force", CRATES[index].name));
        self.sim.force();
        // It holds nothing up any more.
        self.sim.resume();
        patch(index).force();
        self.compare(Ok(()), Ok(()));
    }

    fn target(&mut self) {
        let (model, kernel) = if self.target {
            self.done.push("rmmod target".into());
            (self.sim.unload_target(TARGET_NAME), TARGET.try_remove())
        } else {
            self.done.push("insmod target.ko".into());
            (self.sim.load_target(TARGET_NAME), TARGET.insert())
        };
        self.target = if self.target { model.is_err() } else { model.is_ok() };
        self.compare(errno(model), kernel);
    }

    fn target_fails(&mut self) {
        self.done.push("insmod target.ko fail=1".into());
        let mut model = errno(self.sim.load_target(TARGET_NAME));
        if model.is_ok() {
            self.describe_all();
            model = errno(self.sim.unload_target(TARGET_NAME)).and(Err(Errno::NODEV));
        }
        self.compare(model, TARGET.insert_with(c"fail=1"));
    }

    fn look(&mut self) {
        self.done.push("look".into());
        if let Some(index) = self.running(Configuration::VERSION) {
            self.sim.run(&module(index), CRATES[index].look);
        }
        // Whether it is empty was decided by who runs, as the log shows.
        fs::read("/proc/version").expect("the kernel has it");
        if self.target {
            let model = self.describe_all();
            let kernel = fs::read_to_string("/proc/klp_test_target").expect("the module is loaded");
            if kernel.trim_end() != model {
                self.differ(format!("the things are {kernel:?}, in the model {model:?}"));
            }
        }
        for directory in DIRECTORIES {
            let model = sysfs::read(directory, FILE).ok();
            let [directory, file] = [directory, FILE].map(|name| name.to_str().expect("the name is ASCII"));
            let kernel = fs::read_to_string(format!("/sys/kernel/{directory}/{file}")).ok();
            if model != kernel {
                self.differ(format!("{directory} has {kernel:?}, in the model {model:?}"));
            }
        }
        self.compare(Ok(()), Ok(()));
    }

    /// What the module shows of its things.
    fn describe_all(&self) -> String {
        let running = self.running(Configuration::DESCRIBE);
        let describe = |index: usize, thing| self.sim.run(&module(index), || (CRATES[index].describe)(thing));
        let described = (0..THINGS).map(|thing| running.map_or(0, |index| describe(index, thing)));
        described.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
    }

    /// The patch whose function this task runs; none for the kernel's own. What may be switched has been: the
    /// only one that holds a transition up is the one that sleeps.
    fn running(&self, func: u32) -> Option<usize> {
        for &index in self.listed.iter().rev() {
            if self.sim.is_enabled(&module(index)) != Some(true) {
                continue;
            }
            if self.patches[index].redirects(func) {
                return Some(index);
            }
            if self.patches[index].replace {
                return None;
            }
        }
        None
    }

    /// Whether enabling the patch would wait for the task that sleeps. A replace patch redirects what others
    /// do, back to the kernel's own.
    fn would_stall(&self, index: usize) -> bool {
        let redirects = |index: &usize| self.patches[*index].redirects(Configuration::FIFO);
        let older = self.listed.iter().rev().copied().find(redirects);
        let changes = redirects(&index) || self.patches[index].replace && older.is_some();
        changes && self.asleep.as_ref().is_some_and(|asleep| asleep.whose == older)
    }

    /// Compares, once the kernel has ended its transition, if the model has, and dropped what was disabled or replaced.
    fn compare(&mut self, model: Outcome, kernel: Outcome) {
        let sim = self.listed_in_model();
        if model == kernel {
            is_within_limit(|| in_kernel() == sim);
            let now = in_kernel();
            if now != sim {
                self.differ(format!("the patches are {now:?}, in the model {sim:?}"));
            }
        }
        let lines = self.log.lines();
        if let Some(complaint) = lines.iter().find(|line| is_complaint(line)) {
            self.differ(format!("the kernel complained: {complaint}"));
        }
        let in_kernel = ordered(lines.iter().filter_map(|line| of_patch(line)).collect());
        let in_model = ordered(self.sim.take_log().iter().filter_map(|line| of_patch(line)).collect());
        self.lines += in_kernel.len();
        if model != kernel || in_model != in_kernel {
            self.differ(format!("the kernel {kernel:?} {in_kernel:#?}, the model {model:?} {in_model:#?}"));
        }
        let faults = self.sim.take_faults();
        if !faults.is_empty() {
            self.differ(format!("the model says {faults:#?}"));
        }
    }

    fn differ(&mut self, how: String) {
        self.difference.get_or_insert(how);
    }

    /// What [`in_kernel`] should be.
    fn listed_in_model(&mut self) -> Vec<Listed> {
        let sim = &self.sim;
        self.listed.retain(|&index| sim.is_enabled(&module(index)).is_some());
        let transiting = sim.in_transition();
        let mut listed: Vec<_> = self
            .listed
            .iter()
            .map(|&index| {
                let name = module(index);
                let (enabled, moves) =
                    (sim.is_enabled(&name) == Some(true), transiting.as_ref() == Some(&name));
                (name, enabled, moves)
            })
            .collect();
        listed.sort();
        listed
    }

    fn is_loaded(&self, index: usize) -> bool {
        self.sim.is_loaded(&module(index))
    }
}

/// A patch in sysfs: its name, whether it is enabled, and whether it is in transition.
type Listed = (String, bool, bool);

fn in_kernel() -> Vec<Listed> {
    let is_set = |patch: &str, file: &str| {
        fs::read_to_string(format!("/sys/kernel/livepatch/{patch}/{file}"))
            .is_ok_and(|text| text.trim() == "1")
    };
    let mut listed: Vec<_> = patches()
        .into_iter()
        .map(|name| (is_set(&name, "enabled"), is_set(&name, "transition"), name))
        .map(|(enabled, moves, name)| (name, enabled, moves))
        .collect();
    listed.sort();
    listed
}

/// The lines, those of shadow variables that are freed together in the order of the text: the kernel's is that
/// of its hash table.
fn ordered(mut lines: Vec<String>) -> Vec<String> {
    let is_freed = |line: &String| line.contains(".dropped ");
    lines.chunk_by_mut(|a, b| is_freed(a) && is_freed(b)).for_each(<[String]>::sort);
    lines
}

fn patch(index: usize) -> Patch {
    Patch(CRATES[index].name)
}

fn module(index: usize) -> String {
    patch(index).module()
}

/// The patch of a crate as the model gets it.
fn model_of(index: usize, config: &Configuration) -> sim::Patch {
    let mut patch = sim::Patch::from((CRATES[index].tables)());
    if config.allow_downgrade {
        patch = patch.allow_downgrade();
    }
    if CRATES[index].runs_on_its_own {
        patch = patch.runs_on_its_own();
    }
    patch
}

/// A patch that takes every state on and holds none.
pub(super) fn rescue(has_shadows: bool) -> Configuration {
    Configuration {
        replace: true,
        states: 0b111,
        versions: 0xfff,
        shadows: if has_shadows { 0b11111 } else { 0 },
        ..Configuration::default()
    }
}

/// A result of the model as the kernel gives it.
fn errno(result: klp_runtime::error::Result) -> Outcome {
    result.map_err(|error| Errno::from_raw_os_error(-error.to_errno()))
}
