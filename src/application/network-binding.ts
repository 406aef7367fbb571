import { BlockList, isIP, isIPv4 } from 'node:net';
import { KeyturnError } from '../domain/errors.ts';

const mostNetworks = 64;

/** @throws KeyturnError `SECRET_BINDING_INVALID` for a list that is empty, too long, or has something else than CIDR notation in it */
export function checkNetworks(networks: readonly string[]): void {
  if (networks.length === 0 || networks.length > mostNetworks) {
    throw invalidBinding(`it must have 1 to ${mostNetworks} networks`);
  }
  for (const network of networks) addNetwork(new BlockList(), network);
}

/**
 * @param address IPv4 or IPv6 address of the peer
 * @param networks in CIDR notation; undefined: any
 */
export function isInNetworks(address: string, networks: readonly string[] | undefined): boolean {
  if (networks === undefined) return true;
  if (isIP(address) === 0) return false;
  const list = new BlockList();
  for (const network of networks) addNetwork(list, network);
  return list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

function addNetwork(list: BlockList, network: string): void {
  const [address = '', prefix = '', ...rest] = network.split('/');
  const family = isIP(address);
  const longest = family === 4 ? 32 : 128;
  if (family === 0 || rest.length > 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) > longest) {
    throw invalidBinding(`${JSON.stringify(network)} is not a network in CIDR notation`);
  }
  list.addSubnet(address, Number(prefix), family === 4 ? 'ipv4' : 'ipv6');
}

function invalidBinding(reason: string): KeyturnError {
  return new KeyturnError('SECRET_BINDING_INVALID', {
    text: `The binding of the secret is invalid: ${reason}`,
  });
}
