//! List of what is inside, for machines: CycloneDX 1.5.

use anyhow::Result;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::dist::PackagedRelease;
use crate::dist::sources::{Package, Packages};

/// The document.
///
/// # Errors
/// When the time of the release is beyond the year 9999.
pub(crate) fn document(release: &PackagedRelease, packages: &Packages) -> Result<Vec<u8>> {
    let mut components: Vec<Value> = packages.values().map(component).collect();
    components.push(json!({
        "type": "library",
        "bom-ref": "cpython",
        "name": "CPython",
        "version": "3.14",
        "licenses": [{"license": {"id": "PSF-2.0"}}],
        "properties": [{"name": "lotmq:inside", "value": "python"}],
    }));
    components.push(json!({
        "type": "library",
        "bom-ref": "musl",
        "name": "musl",
        "licenses": [{"license": {"id": "MIT"}}],
        "properties": [{"name": "lotmq:inside", "value": "lotmq"}],
    }));
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": Timestamp::from_second(release.time.try_into()?)?.to_string(),
            "component": {
                "type": "application",
                "bom-ref": "lotmq",
                "name": "lotmq",
                "version": release.version,
                "licenses": [{"expression": "MIT OR Apache-2.0"}],
                "properties": [{"name": "lotmq:target", "value": release.target.triple()}],
            },
        },
        "components": components,
    });
    let mut bytes = serde_json::to_vec_pretty(&document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn component(package: &Package) -> Value {
    let url = format!("pkg:cargo/{}@{}", package.name, package.version);
    let inside: Vec<Value> =
        package.inside.iter().map(|name| json!({"name": "lotmq:inside", "value": name})).collect();
    let mut component = json!({
        "type": "library",
        "bom-ref": url,
        "name": package.name,
        "version": package.version,
        "purl": url,
        "properties": inside,
    });
    if !package.licence.is_empty() {
        component["licenses"] = json!([{"expression": expression(&package.licence)}]);
    }
    if let Some(checksum) = &package.checksum {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    component
}

/// SPDX expression of a licence; older crates have a stroke where the standard has OR.
fn expression(licence: &str) -> String {
    licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::dist::target::Processor;

    #[test]
    fn a_crate_has_its_licence_its_checksum_and_where_it_is() {
        let package = Package {
            name: "a".to_owned(),
            version: "1.2.3".to_owned(),
            licence: "MIT / Apache-2.0".to_owned(),
            folder: "/".into(),
            checksum: Some("ab".to_owned()),
            inside: BTreeSet::from(["lotmq".to_owned(), "route-kafka".to_owned()]),
        };
        let packages = Packages::from([(("a".to_owned(), "1.2.3".to_owned()), package)]);
        let release = PackagedRelease { version: "9.8.7".to_owned(), time: 0, target: Processor::Aarch64 };
        let document: Value = serde_json::from_slice(&document(&release, &packages).unwrap()).unwrap();
        let component = &document["components"][0];
        assert_eq!(component["purl"], "pkg:cargo/a@1.2.3");
        assert_eq!(component["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(component["hashes"][0]["content"], "ab");
        assert_eq!(component["properties"][1]["value"], "route-kafka");
        assert_eq!(document["metadata"]["component"]["version"], "9.8.7");
        assert_eq!(document["metadata"]["timestamp"], "1970-01-01T00:00:00Z");
    }
}
