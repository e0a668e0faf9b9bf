//! The codes by which clients know an error. Numbers, statuses and texts stand in the catalogue of `wire`.

macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// A code that a client may see, as a bare name.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum ErrorCode {
            $($(#[$meta])* $name,)*
        }

        impl ErrorCode {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    // Hub, data plane. Names as Azure spells them.
    /// An argument breaks its rule.
    ArgumentInvalid,
    /// An argument is missing.
    ArgumentNull,
    /// Items of a bulk call failed.
    BulkRegistryOperationFailure,
    /// The body is not what the call takes.
    DeserializationError,
    /// The device is there already.
    DeviceAlreadyExists,
    /// One device stands twice in a bulk call.
    DeviceDefinedMultipleTimes,
    /// No such device.
    DeviceNotFound,
    /// The hub does not offer this.
    FeatureNotSupported,
    /// The request is not understood.
    GenericBadRequest,
    /// No such path or resource.
    GenericNotFound,
    /// The path does not take this method.
    GenericMethodNotAllowed,
    /// The content type is not taken.
    GenericUnsupportedMediaType,
    /// The device scope is wrong.
    InvalidDeviceScope,
    /// `api-version` is missing, malformed or too old.
    InvalidProtocolVersion,
    /// No hub of that name.
    IotHubNotFound,
    /// The hub's quota is used up.
    IotHubQuotaExceeded,
    /// The credential is missing, wrong, or lacks the right.
    IotHubUnauthorizedAccess,
    /// The message is larger than allowed.
    MessageTooLarge,
    /// The version that the caller named is not the current one.
    PreconditionFailed,
    /// The body is larger than allowed.
    RequestEntityTooLarge,
    /// A fault of the server.
    ServerError,
    /// The server can't do it now; try again.
    ServiceUnavailable,
    /// Too many requests.
    ThrottlingException,
    /// Too many devices in one call.
    TooManyDevices,

    // Provisioning.
    /// The certificate's issuer chain meets nothing that is enrolled and trusted.
    DpsCaNotFound,
    /// Two attempts at one registration id at the same time.
    DpsConflict,
    /// Custom allocation failed.
    DpsCustomAllocationFailed,
    /// No such enrollment.
    DpsEnrollmentNotFound,
    /// The caller's right is not enough.
    DpsForbidden,
    /// An argument breaks its rule.
    DpsInvalidArgument,
    /// The certificate was refused.
    DpsInvalidCertificate,
    /// The registration id or common name breaks its grammar.
    DpsInvalidRegistrationId,
    /// The path does not take this method.
    DpsMethodNotAllowed,
    /// No hub to assign.
    DpsNoHub,
    /// No such path or id scope.
    DpsNotFound,
    /// The version that the caller named is not the current one.
    DpsPreconditionFailed,
    /// No such registration or operation.
    DpsRegistrationNotFound,
    /// The body is larger than allowed.
    DpsRequestTooLarge,
    /// A fault of the server.
    DpsServerError,
    /// The server can't do it now; try again.
    DpsServiceUnavailable,
    /// No usable credential.
    DpsUnauthorized,
    /// The content type is not taken.
    DpsUnsupportedMediaType,

    // Management.
    /// An argument breaks its rule.
    ArmBadRequest,
    /// No such certificate.
    ArmCertificateNotFound,
    /// The name is taken.
    ArmConflict,
    /// The caller may not do this.
    ArmForbidden,
    /// The path does not take this method.
    ArmMethodNotAllowed,
    /// No such path.
    ArmNotFound,
    /// The version that the caller named is not the current one, or none was named where one is due.
    ArmPreconditionFailed,
    /// The verification certificate does not prove possession.
    ArmProofOfPossessionFailed,
    /// The body is larger than allowed.
    ArmRequestTooLarge,
    /// No such resource group.
    ArmResourceGroupNotFound,
    /// No such hub or provisioning service.
    ArmResourceNotFound,
    /// A fault of the server.
    ArmServerError,
    /// The server can't do it now; try again.
    ArmServiceUnavailable,
    /// No such subscription.
    ArmSubscriptionNotFound,
    /// The bearer token is missing or wrong.
    ArmUnauthenticated,
}
