//! The program `freehold`; all of it is in the library.

/// Requests make and drop many small things: a tenth of the time went into the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    freehold::app().run()
}
