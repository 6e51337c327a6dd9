//! A random walk over what a module is made of: sources, features, dependencies, kernels, modules, the environment.
//! Builds stand in between, some killed, some at once, some while a file changes. Every module must equal, bit for
//! bit, the one that is built from scratch in a fresh directory.
//!
//! It takes an hour or more: `cargo xtask soak` runs it. The seed and the number of steps are in `KLP_WALK_SEED` and
//! `KLP_WALK_STEPS`. Needs kernels 6.12 and 6.1.

mod state;
mod world;

use std::thread;
use std::time::Duration;

use state::State;
use world::World;

/// A variable with a number.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

#[test]
#[ignore = "it takes an hour: `cargo xtask soak` runs it"]
fn every_module_equals_the_one_built_from_scratch() {
    let (seed, steps) = (number("KLP_WALK_SEED", 1), number("KLP_WALK_STEPS", 500));
    let mut walk = Walk::new(seed);
    for step in 1..=steps {
        let action = walk.step();
        println!("step {step} of seed {seed}: {action}, in {:?}", walk.state);
        walk.world.check_modules();
    }
    println!("{steps} steps of seed {seed}, {} states built from scratch", walk.world.built_from_scratch());
}

/// Where the walk is.
struct Walk {
    random: fastrand::Rng,
    world: World,
    state: State,
    /// Where it has been.
    visited: Vec<State>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let state = State::default();
        let mut world = World::new(fastrand::Rng::with_seed(seed ^ 1));
        world.write(&state);
        Self { random: fastrand::Rng::with_seed(seed), world, state, visited: vec![state] }
    }

    /// Changes something, or builds in one way or another; what was done.
    fn step(&mut self) -> &'static str {
        match self.random.u8(..16) {
            0..8 => {
                self.state = self.next();
                self.world.write(&self.state);
                "changed"
            }
            8..10 => {
                self.world.build(&self.state);
                "built"
            }
            10 => {
                self.world.build(&self.state);
                self.world.build_nothing(&self.state);
                "built twice"
            }
            11 => {
                let by_make = self.random.bool();
                self.world.kill(&self.state, by_make);
                "killed"
            }
            12 => {
                self.world.make(&self.state);
                "made by plain make"
            }
            13 => {
                self.world.remove_something();
                self.world.build(&self.state);
                "built after a file was removed"
            }
            14 => {
                let others = [(); 2].map(|()| self.state.with_other_circumstances(&mut self.random));
                self.world.build_at_once(&[self.state, others[0], others[1]]);
                "built at once"
            }
            _ => {
                self.change_during_build();
                "changed during a build"
            }
        }
    }

    /// Where to go: mostly to where it has been, so that few states need be built from scratch.
    fn next(&mut self) -> State {
        if self.visited.len() > 6 && self.random.u8(..10) > 0 {
            return self.visited[self.random.usize(..self.visited.len())];
        }
        let new = self.state.changed(&mut self.random);
        if !self.visited.contains(&new) {
            self.visited.push(new);
        }
        new
    }

    /// Changes files while a build runs: its module is that of the files before or after, if all of the change is
    /// one file; and that of the next build is right.
    fn change_during_build(&mut self) {
        let (before, mut next) = (self.state, self.next());
        // The circumstances of a build don't change while it runs.
        next.take_circumstances(&before);
        self.world.build_from_scratch(&before);
        let (running, usual) = (self.world.start(&before), self.world.usual_duration());
        thread::sleep(Duration::from_millis(self.random.u64(..=usual)));
        self.world.write(&next);
        self.state = next;
        self.world.finish_between(running, &before, &next);
        self.world.build(&next);
    }
}
