//! Structures that are decoded inside of messages: the notifications of a subscription. All others
//! stay bytes.
//!
//! The crate `async-opcua-types` knows each structure of the standard. All of them would be most of
//! this guest, and slow to compile for the broker.

use std::sync::LazyLock;

use opcua_types::{
    DataChangeNotification, DataTypeId, FallbackTypeLoader, ObjectId, StaticTypeLoader,
    StatusChangeNotification, TypeLoaderCollection, TypeLoaderInstance, binary_decode_to_enc,
};

struct Notices;

static KNOWN: LazyLock<TypeLoaderInstance> = LazyLock::new(|| {
    let mut known = TypeLoaderInstance::new();
    known.add_binary_type(
        DataTypeId::DataChangeNotification as u32,
        ObjectId::DataChangeNotification_Encoding_DefaultBinary as u32,
        binary_decode_to_enc::<DataChangeNotification>,
    );
    known.add_binary_type(
        DataTypeId::StatusChangeNotification as u32,
        ObjectId::StatusChangeNotification_Encoding_DefaultBinary as u32,
        binary_decode_to_enc::<StatusChangeNotification>,
    );
    known
});

impl StaticTypeLoader for Notices {
    fn instance() -> &'static TypeLoaderInstance {
        &KNOWN
    }

    fn namespace() -> &'static str {
        "http://opcfoundation.org/UA/"
    }
}

/// Returns the decoders of structures.
pub(crate) fn loaders() -> TypeLoaderCollection {
    let mut loaders = TypeLoaderCollection::new_empty();
    loaders.add_type_loader(Notices);
    loaders.add_type_loader(FallbackTypeLoader);
    loaders
}
