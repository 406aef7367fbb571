/** In characters (RFC 1035 section 2.3.4). */
const longestLabel = 63;

/**
 * The label that stands for an organization in its domain, `<label>.<domain of the instance>`, made of its name as
 * ZITADEL does: lower case, with hyphens for what a domain cannot hold. May be empty.
 */
export function domainLabelOf(name: string): string {
  const label = name
    .trim()
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/\p{Mark}/gu, '')
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, longestLabel);
  return label.replaceAll(/^-+|-+$/g, '');
}
