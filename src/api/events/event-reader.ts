import { KeyturnError } from '../../domain/errors.ts';
import type { EventSelection } from '../../subscriptions/feed-event.ts';
import type { Authorizer, Credentials } from '../authorization.ts';
import type { EventStreamQuery } from './event-stream-query.ts';

const required = { kind: 'permission', permission: 'events.read' } as const;

/**
 * Who may read what: an organization's reader its organization, a reader of the instance everything, or the
 * organization that it asks for.
 *
 * @throws KeyturnError what authorization refuses
 */
export async function authorizeReader(
  authorizer: Authorizer,
  credentials: Credentials,
  { types, userId, organizationId: asked }: EventStreamQuery,
): Promise<{ userId: string; selection: EventSelection }> {
  const caller = await authorizer.authorize(required, credentials);
  if (caller === undefined) throw new KeyturnError('AUTH_HEADER_MISSING');
  const isEverywhere = authorizer.isAllowedEverywhere(caller, required.permission);
  if (!isEverywhere && asked !== undefined && asked !== caller.organizationId) {
    throw new KeyturnError('PERMISSION_MISSING');
  }
  const isLimited = !isEverywhere || credentials['x-zitadel-orgid'] !== undefined;
  const organizationId = asked ?? (isLimited ? caller.organizationId : undefined);
  return { userId: caller.userId, selection: { types, userId, organizationId } };
}
