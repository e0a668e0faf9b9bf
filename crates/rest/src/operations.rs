//! Every operation there is: how it is asked for, and what answers it.
//!
//! The table is what the router matches, what the access tests walk over, and what the generated API page lists.

use crate::exchange::{Exchange, Outcome};
use crate::router::{Route, Surface, Verb};
use crate::{arm, device, enrollment, identity, own, provisioning};

macro_rules! operations {
    ($($(#[$meta:meta])* $name:ident: $surface:ident $verb:ident $pattern:literal => $when:ident $($handler:ident)::+($($place:tt),*);)*) => {
        /// An operation.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Operation {
            $($(#[$meta])* $name,)*
        }

        impl Operation {
            /// Its name in logs.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }

        /// The table of routes. Literals stand before parameters where both would fit.
        pub const ROUTES: &[Route<Operation>] = &[
            $(Route {
                surface: Surface::$surface,
                verb: Verb::$verb,
                pattern: $pattern,
                operation: Operation::$name,
            },)*
        ];

        /// Runs an operation. The router has matched as many parameters as the pattern has.
        pub(crate) async fn run(exchange: &mut Exchange<'_>, operation: Operation, parameters: &[String]) -> Outcome {
            let at = |place: usize| parameters.get(place).map_or("", String::as_str);
            match operation {
                $(Operation::$name => answer!($when, $($handler)::+(exchange $(, at($place))*)),)*
            }
        }
    };
}

/// An operation answers at once (`now`), at once and always well (`sure`), or waits for a body or a store (`wait`).
macro_rules! answer {
    (now, $call:expr) => {
        $call
    };
    (sure, $call:expr) => {
        Ok($call)
    };
    (wait, $call:expr) => {
        // Boxed, so that the largest operation does not grow the state of every connection.
        Box::pin($call).await
    };
}

operations! {
    // Devices at a provisioning service.
    /// Registers a device.
    DpsRegister: DpsDevice Put "{}/registrations/{}/register" => wait provisioning::register(0, 1);
    /// Tells what became of a registration.
    DpsOperation: DpsDevice Get "{}/registrations/{}/operations/{}" => wait provisioning::operation(0, 1, 2);
    /// Tells the state of a registration.
    DpsRegistrationStatus: DpsDevice Post "{}/registrations/{}" => wait provisioning::status(0, 1);

    // Back ends at a provisioning service.
    /// Lists individual enrollments.
    EnrollmentQuery: DpsService Post "enrollments/query" => wait enrollment::individual::query();
    /// Writes several individual enrollments.
    EnrollmentBulk: DpsService Post "enrollments" => wait enrollment::individual::bulk();
    /// Reads the attestation of an individual enrollment, keys included.
    EnrollmentAttestation: DpsService Post "enrollments/{}/attestationmechanism" => wait enrollment::individual::attestation(0);
    /// Reads an individual enrollment.
    EnrollmentGet: DpsService Get "enrollments/{}" => wait enrollment::individual::get(0);
    /// Writes an individual enrollment.
    EnrollmentPut: DpsService Put "enrollments/{}" => wait enrollment::individual::put(0);
    /// Deletes an individual enrollment.
    EnrollmentDelete: DpsService Delete "enrollments/{}" => wait enrollment::individual::delete(0);
    /// Lists enrollment groups.
    GroupQuery: DpsService Post "enrollmentGroups/query" => wait enrollment::group::query();
    /// Writes several enrollment groups.
    GroupBulk: DpsService Post "enrollmentGroups" => wait enrollment::group::bulk();
    /// Reads the attestation of an enrollment group, keys included.
    GroupAttestation: DpsService Post "enrollmentGroups/{}/attestationmechanism" => wait enrollment::group::attestation(0);
    /// Reads an enrollment group.
    GroupGet: DpsService Get "enrollmentGroups/{}" => wait enrollment::group::get(0);
    /// Writes an enrollment group.
    GroupPut: DpsService Put "enrollmentGroups/{}" => wait enrollment::group::put(0);
    /// Deletes an enrollment group.
    GroupDelete: DpsService Delete "enrollmentGroups/{}" => wait enrollment::group::delete(0);
    /// Lists the registration states of a group.
    RegistrationQuery: DpsService Post "registrations/{}/query" => wait enrollment::registration::query(0);
    /// Reads a registration state.
    RegistrationGet: DpsService Get "registrations/{}" => wait enrollment::registration::get(0);
    /// Deletes a registration state.
    RegistrationDelete: DpsService Delete "registrations/{}" => wait enrollment::registration::delete(0);

    // Devices at a hub.
    /// Takes messages of a device.
    DeviceEvents: HubDevice Post "devices/{}/messages/events" => wait device::events(0);

    // Back ends at a hub.
    /// Counts device identities.
    DeviceStatistics: HubService Get "statistics/devices" => wait identity::statistics();
    /// Writes several device identities.
    DeviceBulk: HubService Post "devices" => wait identity::bulk();
    /// Lists device identities.
    DeviceList: HubService Get "devices" => wait identity::list();
    /// Reads a device identity.
    DeviceGet: HubService Get "devices/{}" => wait identity::get(0);
    /// Writes a device identity.
    DevicePut: HubService Put "devices/{}" => wait identity::put(0);
    /// Deletes a device identity.
    DeviceDelete: HubService Delete "devices/{}" => wait identity::delete(0);

    // Management.
    /// Tells tools where to log in.
    ArmMetadata: Public Get "metadata/endpoints" => sure arm::account::metadata();
    /// Lists the one tenant.
    ArmTenants: Arm Get "tenants" => now arm::account::tenants();
    /// Lists the one subscription.
    ArmSubscriptions: Arm Get "subscriptions" => now arm::account::subscriptions();
    /// Reads the subscription.
    ArmSubscription: Arm Get "subscriptions/{}" => now arm::account::subscription(0);
    /// Lists places.
    ArmLocations: Arm Get "subscriptions/{}/locations" => now arm::account::locations(0);
    /// Lists resources of a subscription.
    ArmResources: Arm Get "subscriptions/{}/resources" => now arm::account::resources(0);
    /// Lists providers.
    ArmProviders: Arm Get "subscriptions/{}/providers" => now arm::account::providers(0);
    /// Reads the one provider.
    ArmProvider: Arm Get "subscriptions/{}/providers/Microsoft.Devices" => now arm::account::provider(0);
    /// Registers the one provider, which is registered.
    ArmProviderRegister: Arm Post "subscriptions/{}/providers/Microsoft.Devices/register" => now arm::account::provider(0);
    /// Lists resource groups.
    GroupList: Arm Get "subscriptions/{}/resourceGroups" => now arm::group::list(0);
    /// Tells whether a resource group exists.
    GroupHead: Arm Head "subscriptions/{}/resourceGroups/{}" => now arm::group::head(0, 1);
    /// Reads a resource group.
    GroupRead: Arm Get "subscriptions/{}/resourceGroups/{}" => now arm::group::get(0, 1);
    /// Makes or changes a resource group.
    GroupWrite: Arm Put "subscriptions/{}/resourceGroups/{}" => wait arm::group::put(0, 1);
    /// Changes the tags of a resource group.
    GroupPatch: Arm Patch "subscriptions/{}/resourceGroups/{}" => wait arm::group::patch(0, 1);
    /// Deletes a resource group with all that it holds.
    GroupRemove: Arm Delete "subscriptions/{}/resourceGroups/{}" => wait arm::group::delete(0, 1);
    /// Lists resources of a group.
    GroupResources: Arm Get "subscriptions/{}/resourceGroups/{}/resources" => now arm::group::resources_of(0, 1);

    /// Tells whether a name is free for a hub.
    HubNameCheck: Arm Post "subscriptions/{}/providers/Microsoft.Devices/checkNameAvailability" => wait arm::hub::check_name(0);
    /// Lists the hubs of the subscription.
    HubListAll: Arm Get "subscriptions/{}/providers/Microsoft.Devices/IotHubs" => now arm::hub::list_all(0);
    /// Lists the hubs of a group.
    HubList: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs" => now arm::hub::list(0, 1);
    /// Reads a hub.
    HubGet: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}" => now arm::hub::get(0, 1, 2);
    /// Makes or changes a hub.
    HubPut: Arm Put "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}" => wait arm::hub::put(0, 1, 2);
    /// Changes the tags of a hub.
    HubPatch: Arm Patch "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}" => wait arm::hub::patch(0, 1, 2);
    /// Deletes a hub with all that it holds.
    HubDelete: Arm Delete "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}" => wait arm::hub::delete(0, 1, 2);
    /// Reads the keys of every policy of a hub.
    HubKeys: Arm Post "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/listkeys" => now arm::hub::keys(0, 1, 2);
    /// Reads the keys of one policy of a hub.
    HubKey: Arm Post "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/IotHubKeys/{}/listkeys" => now arm::hub::key(0, 1, 2, 3);
    /// Counts the devices of a hub.
    HubStats: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/IotHubStats" => wait arm::hub::stats(0, 1, 2);
    /// Tells a hub's quotas.
    HubQuota: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/quotaMetrics" => wait arm::hub::quota(0, 1, 2);
    /// Tells the tiers that a hub may have.
    HubSkus: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/skus" => now arm::hub::skus(0, 1, 2);
    /// Lists consumer groups.
    ConsumerGroupList: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/eventHubEndpoints/events/ConsumerGroups" => now arm::consumer_group::list(0, 1, 2);
    /// Reads a consumer group.
    ConsumerGroupGet: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/eventHubEndpoints/events/ConsumerGroups/{}" => now arm::consumer_group::get(0, 1, 2, 3);
    /// Makes a consumer group.
    ConsumerGroupPut: Arm Put "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/eventHubEndpoints/events/ConsumerGroups/{}" => wait arm::consumer_group::put(0, 1, 2, 3);
    /// Deletes a consumer group.
    ConsumerGroupDelete: Arm Delete "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/eventHubEndpoints/events/ConsumerGroups/{}" => wait arm::consumer_group::delete(0, 1, 2, 3);
    /// Lists a hub's CA certificates.
    HubCertificateList: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/certificates" => now arm::certificate::hub_list(0, 1, 2);
    /// Reads a hub's CA certificate.
    HubCertificateGet: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/certificates/{}" => now arm::certificate::hub_get(0, 1, 2, 3);
    /// Uploads a CA certificate to a hub.
    HubCertificatePut: Arm Put "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/certificates/{}" => wait arm::certificate::hub_put(0, 1, 2, 3);
    /// Deletes a hub's CA certificate.
    HubCertificateDelete: Arm Delete "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/certificates/{}" => wait arm::certificate::hub_delete(0, 1, 2, 3);
    /// Begins the proof of possession of a hub's CA certificate.
    HubCertificateCode: Arm Post "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/certificates/{}/generateVerificationCode" => wait arm::certificate::hub_code(0, 1, 2, 3);
    /// Ends it.
    HubCertificateVerify: Arm Post "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/IotHubs/{}/certificates/{}/verify" => wait arm::certificate::hub_verify(0, 1, 2, 3);

    /// Tells whether a name is free for a provisioning service.
    ServiceNameCheck: Arm Post "subscriptions/{}/providers/Microsoft.Devices/checkProvisioningServiceNameAvailability" => wait arm::service::check_name(0);
    /// Lists the provisioning services of the subscription.
    ServiceListAll: Arm Get "subscriptions/{}/providers/Microsoft.Devices/provisioningServices" => now arm::service::list_all(0);
    /// Lists the provisioning services of a group.
    ServiceList: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices" => now arm::service::list(0, 1);
    /// Reads a provisioning service.
    ServiceGet: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}" => now arm::service::get(0, 1, 2);
    /// Makes or changes a provisioning service and its links.
    ServicePut: Arm Put "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}" => wait arm::service::put(0, 1, 2);
    /// Changes the tags of a provisioning service.
    ServicePatch: Arm Patch "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}" => wait arm::service::patch(0, 1, 2);
    /// Deletes a provisioning service with all that it holds.
    ServiceDelete: Arm Delete "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}" => wait arm::service::delete(0, 1, 2);
    /// Reads the keys of every policy of a provisioning service.
    ServiceKeys: Arm Post "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}/listkeys" => now arm::service::keys(0, 1, 2);
    /// Reads the keys of one policy of a provisioning service.
    ServiceKey: Arm Post "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}/keys/{}/listkeys" => now arm::service::key(0, 1, 2, 3);
    /// Tells the tiers that a provisioning service may have.
    ServiceSkus: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}/skus" => now arm::service::skus(0, 1, 2);
    /// Lists a provisioning service's CA certificates.
    ServiceCertificateList: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}/certificates" => now arm::certificate::service_list(0, 1, 2);
    /// Reads a provisioning service's CA certificate.
    ServiceCertificateGet: Arm Get "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}/certificates/{}" => now arm::certificate::service_get(0, 1, 2, 3);
    /// Uploads a CA certificate to a provisioning service.
    ServiceCertificatePut: Arm Put "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}/certificates/{}" => wait arm::certificate::service_put(0, 1, 2, 3);
    /// Deletes a provisioning service's CA certificate.
    ServiceCertificateDelete: Arm Delete "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}/certificates/{}" => wait arm::certificate::service_delete(0, 1, 2, 3);
    /// Begins the proof of possession of a provisioning service's CA certificate.
    ServiceCertificateCode: Arm Post "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}/certificates/{}/generateVerificationCode" => wait arm::certificate::service_code(0, 1, 2, 3);
    /// Ends it.
    ServiceCertificateVerify: Arm Post "subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/provisioningServices/{}/certificates/{}/verify" => wait arm::certificate::service_verify(0, 1, 2, 3);

    // Calls that only Muster has.
    /// Reads events of a hub, one JSON object a line.
    OwnEvents: Own Get "muster/hubs/{}/events" => wait own::events::read(0);
    /// Lists explained refusals.
    OwnRefusals: Own Get "muster/refusals" => wait own::refusal::list();
    /// Forgets the refusals of a device.
    OwnRefusalsForget: Own Delete "muster/refusals" => wait own::refusal::forget();
    /// Reads one explained refusal.
    OwnRefusal: Own Get "muster/refusals/{}" => wait own::refusal::get(0);
    /// Writes a backup.
    OwnBackup: Own Post "muster/backups" => wait own::backup::write();
    /// The certificate that clients are to trust.
    OwnCa: Public Get "ca.pem" => now own::health::trusted();
    /// Whether the process lives.
    OwnHealth: Public Get "healthz" => sure own::health::alive();
    /// Whether the server can do its work.
    OwnReady: Public Get "readyz" => sure own::health::ready();
}
