import ipaddr from 'ipaddr.js';
import { KeyturnError } from '../../domain/errors.ts';

export interface TargetPolicyOptions {
  readonly allowHttp: boolean;
  /** In CIDR notation: networks that webhooks may lead to though they are not public. */
  readonly allowedNetworks: readonly string[];
}

/** A target that webhooks must not reach. */
export class ForbiddenTargetError extends Error {
  override readonly name = 'ForbiddenTargetError';
}

const publicIpv6 = ipaddr.IPv6.parseCIDR('2000::/3');
/** Public by its range, but every machine at Azure reaches the platform's own services (WireServer, DNS) there. */
const azurePlatform = '168.63.129.16';

/**
 * Where webhooks may go. Their URLs come from outside, and this process can reach what others cannot: a metadata service,
 * a database, itself (OWASP API7:2023, server side request forgery).
 */
export class TargetPolicy {
  readonly #allowHttp: boolean;
  readonly #allowedNetworks: readonly [ipaddr.IPv4 | ipaddr.IPv6, number][];

  /** @throws RangeError an allowed network that is none */
  constructor({ allowHttp, allowedNetworks }: TargetPolicyOptions) {
    this.#allowHttp = allowHttp;
    this.#allowedNetworks = allowedNetworks.map(parseNetwork);
  }

  /**
   * What can be told from the URL alone. Names are resolved when a connection is made.
   *
   * @throws KeyturnError `WEBHOOK_URL_INVALID`
   */
  checkUrl(text: string): URL {
    const url = URL.parse(text);
    if (url === null || !['https:', 'http:'].includes(url.protocol))
      throw invalidUrl('it must be an https URL');
    if (url.username !== '' || url.password !== '') throw invalidUrl('it must not hold credentials');
    if (url.hash !== '') throw invalidUrl('it must not have a fragment');
    try {
      this.checkConnection(url.protocol, url.hostname);
    } catch (error) {
      throw error instanceof ForbiddenTargetError ? invalidUrl(error.message) : error;
    }
    return url;
  }

  /** @throws ForbiddenTargetError */
  checkConnection(protocol: string, hostname: string): void {
    if (protocol !== 'https:' && !this.#allowHttp) throw new ForbiddenTargetError('it must be an https URL');
    const literal = hostname.replace(/^\[(.*)\]$/, '$1');
    if (ipaddr.isValid(literal) && !this.isAllowedAddress(literal)) {
      throw new ForbiddenTargetError('its address is not a public one');
    }
  }

  /** Public, or in a network that is allowed. An IPv4 address within an IPv6 one counts as itself. */
  isAllowedAddress(text: string): boolean {
    const address = ipaddr.process(text);
    if (this.#allowedNetworks.some(([network, bits]) => isIn(address, network, bits))) return true;
    if (address.range() !== 'unicast' || address.toString() === azurePlatform) return false;
    return address.kind() === 'ipv4' || address.match([publicIpv6[0], publicIpv6[1]]);
  }
}

/** @throws RangeError */
export function parseNetwork(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  try {
    return ipaddr.parseCIDR(text);
  } catch (error) {
    throw new RangeError(`${text} is not a network in CIDR notation`, { cause: error });
  }
}

function isIn(address: ipaddr.IPv4 | ipaddr.IPv6, network: ipaddr.IPv4 | ipaddr.IPv6, bits: number): boolean {
  return address.kind() === network.kind() && address.match([network, bits] as [ipaddr.IPv4, number]);
}

function invalidUrl(fault: string): KeyturnError {
  return new KeyturnError('WEBHOOK_URL_INVALID', { text: `URL of the webhook is invalid: ${fault}` });
}
