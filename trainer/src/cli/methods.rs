//! `consort methods`: how a team can learn.

use consort_trainer::config::Method;
use consort_trainer::report::table::{Align, Table};
use serde_json::json;

use super::Page;

pub(super) fn run() -> Page {
    let mut table = Table::new([("method", Align::Left), ("", Align::Left)]);
    for method in Method::ALL {
        table.row([method.name().to_owned(), method.description().to_owned()]);
    }
    let object = |method: Method| json!({ "name": method, "description": method.description() });
    Page {
        text: table.render(),
        json: json!({ "methods": Method::ALL.map(object) }),
    }
}
