//! The committed OpenAPI document is the one that the code makes.

#[test]
fn the_committed_document_is_current() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let made = aios_console::openapi_document();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(file, &made).unwrap();
    }
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(
        committed, made,
        "run `UPDATE_OPENAPI=1 cargo nextest run -p aios-console openapi`, then `npm run types` in crates/console/web"
    );
}
