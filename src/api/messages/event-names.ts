import type { MessageInitShape } from '@bufbuild/protobuf';
import Negotiator from 'negotiator';
import type { LocalizedMessageSchema } from '#generated/zitadel/message_pb.js';
import type { KeyturnEvent } from '../../domain/event-catalogue.ts';

const languages = ['en', 'de'] as const;
export type Language = (typeof languages)[number];

interface EventName extends Readonly<Record<Language, string>> {
  /** The type that ZITADEL gives such an event; for those that it has not, one of our own. */
  readonly zitadelType: string;
}

/** How ZITADEL's API, and people, name each event type. */
const eventNames: Readonly<Record<KeyturnEvent['type'], EventName>> = {
  MachineUserAdded: {
    zitadelType: 'user.machine.added',
    en: 'Machine user added',
    de: 'Maschinenbenutzer hinzugefügt',
  },
  MachineUserChanged: {
    zitadelType: 'user.machine.changed',
    en: 'Machine user changed',
    de: 'Maschinenbenutzer geändert',
  },
  MachineUserNameChanged: {
    zitadelType: 'user.username.changed',
    en: 'User name changed',
    de: 'Benutzername geändert',
  },
  MachineUserNameClaimLapsed: {
    zitadelType: 'keyturn.user.name_claim.lapsed',
    en: 'Claim on a user name lapsed',
    de: 'Anspruch auf einen Benutzernamen verfallen',
  },
  MachineSecretSet: { zitadelType: 'user.machine.secret.set', en: 'Secret set', de: 'Secret gesetzt' },
  MachineSecretRehashed: {
    zitadelType: 'user.machine.secret.updated',
    en: 'Secret hashed anew',
    de: 'Secret neu gehasht',
  },
  MachineSecretRemoved: {
    zitadelType: 'user.machine.secret.removed',
    en: 'Secret removed',
    de: 'Secret entfernt',
  },
  MachineSecretExpiryChanged: {
    zitadelType: 'keyturn.user.secret.expiry.changed',
    en: 'Expiry of a secret changed',
    de: 'Ablauf eines Secrets geändert',
  },
  MachineSecretRetirementCancelled: {
    zitadelType: 'keyturn.user.secret.retirement.cancelled',
    en: 'Retirement of a secret cancelled',
    de: 'Ablösung eines Secrets abgebrochen',
  },
  MachineSecretExpiring: {
    zitadelType: 'keyturn.user.secret.expiring',
    en: 'Secret expires soon',
    de: 'Secret läuft bald ab',
  },
  MachineSecretExpired: {
    zitadelType: 'keyturn.user.secret.expired',
    en: 'Secret expired',
    de: 'Secret abgelaufen',
  },
  MachineSecretRetired: {
    zitadelType: 'keyturn.user.secret.retired',
    en: 'Secret retired',
    de: 'Secret abgelöst',
  },
  MachineSecretLeaked: {
    zitadelType: 'keyturn.user.secret.leaked',
    en: 'Secret leaked',
    de: 'Secret öffentlich gefunden',
  },
  MachineSecretUsed: {
    zitadelType: 'user.machine.secret.check.succeeded',
    en: 'Secret used',
    de: 'Secret verwendet',
  },
  MachineSecretCheckFailed: {
    zitadelType: 'user.machine.secret.check.failed',
    en: 'Check of the secret failed',
    de: 'Prüfung des Secrets fehlgeschlagen',
  },
  MachineSecretUsedAfterReplacement: {
    zitadelType: 'keyturn.user.secret.used_after_replacement',
    en: 'Secret used after its replacement',
    de: 'Secret nach seiner Ablösung verwendet',
  },
  SecretPolicySet: {
    zitadelType: 'keyturn.secret_policy.set',
    en: 'Secret policy set',
    de: 'Secret-Richtlinie gesetzt',
  },
  SecretPolicyReset: {
    zitadelType: 'keyturn.secret_policy.reset',
    en: 'Secret policy reset',
    de: 'Secret-Richtlinie zurückgesetzt',
  },
  MachineKeyAdded: {
    zitadelType: 'user.machine.key.added',
    en: 'Machine key added',
    de: 'Maschinenschlüssel hinzugefügt',
  },
  MachineKeyRemoved: {
    zitadelType: 'user.machine.key.removed',
    en: 'Machine key removed',
    de: 'Maschinenschlüssel entfernt',
  },
  ClientAssertionUsed: {
    zitadelType: 'keyturn.client_assertion.used',
    en: 'Client assertion used',
    de: 'Client-Assertion verwendet',
  },
  MachineTokensEnded: {
    zitadelType: 'keyturn.user.tokens.ended',
    en: 'Access tokens ended',
    de: 'Zugriffstoken beendet',
  },
  MachineUserDeactivated: {
    zitadelType: 'user.deactivated',
    en: 'User deactivated',
    de: 'Benutzer deaktiviert',
  },
  MachineUserReactivated: {
    zitadelType: 'user.reactivated',
    en: 'User reactivated',
    de: 'Benutzer reaktiviert',
  },
  MachineUserLocked: { zitadelType: 'user.locked', en: 'User locked', de: 'Benutzer gesperrt' },
  MachineUserUnlocked: { zitadelType: 'user.unlocked', en: 'User unlocked', de: 'Benutzer entsperrt' },
  MachineUserRemoved: { zitadelType: 'user.removed', en: 'User removed', de: 'Benutzer entfernt' },
  MachineUserErased: { zitadelType: 'keyturn.user.erased', en: 'User erased', de: 'Benutzer gelöscht' },
  OrganizationAdded: { zitadelType: 'org.added', en: 'Organization added', de: 'Organisation hinzugefügt' },
  OrganizationDeactivated: {
    zitadelType: 'org.deactivated',
    en: 'Organization deactivated',
    de: 'Organisation deaktiviert',
  },
  OrganizationReactivated: {
    zitadelType: 'org.reactivated',
    en: 'Organization reactivated',
    de: 'Organisation reaktiviert',
  },
  OrganizationMemberAdded: {
    zitadelType: 'org.member.added',
    en: 'Organization member added',
    de: 'Mitglied der Organisation hinzugefügt',
  },
  OrganizationMemberChanged: {
    zitadelType: 'org.member.changed',
    en: 'Organization member changed',
    de: 'Mitglied der Organisation geändert',
  },
  OrganizationMemberRemoved: {
    zitadelType: 'org.member.removed',
    en: 'Organization member removed',
    de: 'Mitglied der Organisation entfernt',
  },
  InstanceSetUpStarted: {
    zitadelType: 'keyturn.instance.setup.started',
    en: 'Set-up of the instance started',
    de: 'Einrichtung der Instanz begonnen',
  },
  InstanceSetUp: {
    zitadelType: 'keyturn.instance.setup.done',
    en: 'Instance set up',
    de: 'Instanz eingerichtet',
  },
  InstanceMemberAdded: {
    zitadelType: 'instance.member.added',
    en: 'Instance member added',
    de: 'Mitglied der Instanz hinzugefügt',
  },
  InstanceMemberChanged: {
    zitadelType: 'instance.member.changed',
    en: 'Instance member changed',
    de: 'Mitglied der Instanz geändert',
  },
  InstanceMemberRemoved: {
    zitadelType: 'instance.member.removed',
    en: 'Instance member removed',
    de: 'Mitglied der Instanz entfernt',
  },
  SigningKeyAdded: {
    zitadelType: 'key_pair.added',
    en: 'Signing key added',
    de: 'Signaturschlüssel hinzugefügt',
  },
  SigningKeyReencrypted: {
    zitadelType: 'keyturn.key_pair.reencrypted',
    en: 'Signing key encrypted anew',
    de: 'Signaturschlüssel neu verschlüsselt',
  },
  SigningKeyRevoked: {
    zitadelType: 'keyturn.key_pair.revoked',
    en: 'Signing key revoked',
    de: 'Signaturschlüssel widerrufen',
  },
  AccessTokenRevoked: {
    zitadelType: 'keyturn.access_token.revoked',
    en: 'Access token revoked',
    de: 'Zugriffstoken widerrufen',
  },
  SubscriptionClaimed: {
    zitadelType: 'keyturn.subscription.claimed',
    en: 'Subscription claimed by a worker',
    de: 'Abonnement von einem Arbeiter übernommen',
  },
  SubscriptionAdvanced: {
    zitadelType: 'keyturn.subscription.advanced',
    en: 'Subscription advanced',
    de: 'Abonnement fortgeschritten',
  },
  EventParked: { zitadelType: 'keyturn.event.parked', en: 'Event parked', de: 'Ereignis zurückgestellt' },
  CheckpointKeyAdded: {
    zitadelType: 'keyturn.checkpoint_key.added',
    en: 'Checkpoint key added',
    de: 'Schlüssel für Prüfpunkte hinzugefügt',
  },
  CheckpointKeyReencrypted: {
    zitadelType: 'keyturn.checkpoint_key.reencrypted',
    en: 'Checkpoint key encrypted anew',
    de: 'Schlüssel für Prüfpunkte neu verschlüsselt',
  },
  ParkedEventReplayed: {
    zitadelType: 'keyturn.event.replayed',
    en: 'Parked event delivered again',
    de: 'Zurückgestelltes Ereignis erneut zugestellt',
  },
  WebhookAdded: { zitadelType: 'keyturn.webhook.added', en: 'Webhook added', de: 'Webhook hinzugefügt' },
  WebhookChanged: { zitadelType: 'keyturn.webhook.changed', en: 'Webhook changed', de: 'Webhook geändert' },
  WebhookSecretRotated: {
    zitadelType: 'keyturn.webhook.secret.rotated',
    en: 'Signing secret of a webhook rotated',
    de: 'Signatur-Secret eines Webhooks erneuert',
  },
  WebhookSecretReencrypted: {
    zitadelType: 'keyturn.webhook.secret.reencrypted',
    en: 'Signing secret of a webhook encrypted anew',
    de: 'Signatur-Secret eines Webhooks neu verschlüsselt',
  },
  WebhookEnabled: { zitadelType: 'keyturn.webhook.enabled', en: 'Webhook enabled', de: 'Webhook aktiviert' },
  WebhookDisabled: {
    zitadelType: 'keyturn.webhook.disabled',
    en: 'Webhook disabled',
    de: 'Webhook deaktiviert',
  },
  WebhookRemoved: { zitadelType: 'keyturn.webhook.removed', en: 'Webhook removed', de: 'Webhook entfernt' },
  NodeSeen: { zitadelType: 'keyturn.node.seen', en: 'Node is alive', de: 'Knoten lebt' },
  NodeLeft: { zitadelType: 'keyturn.node.left', en: 'Node stopped', de: 'Knoten beendet' },
  UserNameClaimed: {
    zitadelType: 'keyturn.user_name.claimed',
    en: 'User name claimed',
    de: 'Benutzername beansprucht',
  },
  UserNameReleased: {
    zitadelType: 'keyturn.user_name.released',
    en: 'User name released',
    de: 'Benutzername freigegeben',
  },
};

const typeOfZitadelType = new Map(
  Object.entries(eventNames).map(([type, { zitadelType }]) => [zitadelType, type as KeyturnEvent['type']]),
);

export const zitadelEventTypes: readonly string[] = [...typeOfZitadelType.keys()];

/** Keyturn's name of an event type, or undefined for one that it does not have. */
export function eventTypeOf(zitadelType: string): KeyturnEvent['type'] | undefined {
  return typeOfZitadelType.get(zitadelType);
}

export function zitadelTypeOf(type: string): string {
  return nameOf(type)?.zitadelType ?? type;
}

/** zitadel.v1.LocalizedMessage */
export function localizedEventType(
  type: string,
  language: Language,
): MessageInitShape<typeof LocalizedMessageSchema> {
  return { key: `EventTypes.${zitadelTypeOf(type)}`, localizedMessage: nameOf(type)?.[language] ?? type };
}

/** The language that fits `Accept-Language` best; English where none does. */
export function languageOf(acceptLanguage: string | undefined): Language {
  const headers = { 'accept-language': acceptLanguage ?? languages[0] };
  return (new Negotiator({ headers }).language([...languages]) ?? languages[0]) as Language;
}

function nameOf(type: string): EventName | undefined {
  return Object.hasOwn(eventNames, type) ? eventNames[type as KeyturnEvent['type']] : undefined;
}
