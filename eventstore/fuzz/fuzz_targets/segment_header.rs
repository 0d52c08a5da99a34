#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(wrong) = eventstore::format::check::segment_header(bytes) {
        panic!("{wrong}");
    }
});
