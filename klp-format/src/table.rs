//! The tables of a patch.

/// A table of a patch: one link section, to which each macro adds one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The patch itself: one entry, from `livepatch!`.
    Patch,
    /// The redirected functions.
    Funcs,
    /// The states.
    States,
    /// The shadow variables.
    Shadows,
    /// The objects with callbacks.
    Objects,
    /// The states of the kernel's own table.
    Natives,
    /// The hooks.
    Hooks,
}

impl Table {
    /// All tables, in the order in which the runtime bounds them.
    pub const ALL: [Self; 7] =
        [Self::Patch, Self::Funcs, Self::States, Self::Shadows, Self::Objects, Self::Natives, Self::Hooks];

    /// The tables whose entries are counted: each entry has a line in the manifest.
    pub const COUNTED: [Self; 6] =
        [Self::Funcs, Self::States, Self::Shadows, Self::Objects, Self::Natives, Self::Hooks];

    /// The link section. In a finished object the symbols `__start_…` and `__stop_…` bound it.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Patch => "klp_patch",
            Self::Funcs => "klp_funcs",
            Self::States => "klp_states",
            Self::Shadows => "klp_shadows",
            Self::Objects => "klp_objects",
            Self::Natives => "klp_natives",
            Self::Hooks => "klp_hooks",
        }
    }
}
