//! Stands for a database: each connection has a thread, which sends back what it receives after a fixed time.
//!
//! It prints the address it listens on, and ends with its standard input.

use std::io::{Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const USAGE: &str = "usage: bench-database MICROSECONDS";

fn main() -> ExitCode {
    let delay = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let Some(delay) = delay.map(Duration::from_micros) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match serve(delay) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-database: cannot serve: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(delay: Duration) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    thread::spawn(|| {
        // Whoever started it has gone.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || answer(stream, delay));
    }
    Ok(())
}

/// Answers until the client closes, or the connection fails.
fn answer(mut stream: TcpStream, delay: Duration) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut query = [0; 1024];
    loop {
        let count = stream.read(&mut query)?;
        if count == 0 {
            return Ok(());
        }
        thread::sleep(delay);
        stream.write_all(&query[..count])?;
    }
}
