//! The program `freehold`; all of it is in the library.

fn main() -> std::process::ExitCode {
    freehold::app().run()
}
