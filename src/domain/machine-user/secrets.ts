/** A secret of a machine user, as far as its events say. Whether it can be used is a matter of the time. */
export interface MachineSecret extends SecretTimes {
  readonly secretId: string;
  /** In the modular crypt format, or the PHC string format of an imported hash. */
  readonly hashedSecret: string;
  /** RFC 3339, as all times here. */
  readonly createdAt: string;
  /** It has another form than Keyturn's: its id is not in it. */
  readonly isImported?: true;
  /** In CIDR notation. Absent: it can be used from everywhere. */
  readonly allowedNetworks?: readonly string[];
  /** Absent: as often as one likes. */
  readonly maxUses?: number;
  readonly isLeaked?: true;
  /** The fewest days before its expiry that somebody was told of. */
  readonly announcedDays?: number;
}

export interface SecretTimes {
  readonly expiresAt?: string | undefined;
  /** When it ends because another secret has replaced it. */
  readonly retiresAt?: string | undefined;
}

/** The moment that ends the secret if nothing happens before. RFC 3339; undefined: none. */
export function endOf({ expiresAt, retiresAt }: SecretTimes): string | undefined {
  if (expiresAt === undefined || retiresAt === undefined) return expiresAt ?? retiresAt;
  return Date.parse(expiresAt) < Date.parse(retiresAt) ? expiresAt : retiresAt;
}

/** Whether the secret can be used at `time`: no event needs to say that its time has come. */
export function isLive(secret: SecretTimes, time: string | Date): boolean {
  const end = endOf(secret);
  return end === undefined || new Date(time) < new Date(end);
}

export function liveSecrets(secrets: readonly MachineSecret[], time: string): readonly MachineSecret[] {
  return secrets.filter((secret) => isLive(secret, time));
}

export function idsOf(secrets: readonly MachineSecret[]): string[] {
  return secrets.map((secret) => secret.secretId);
}
