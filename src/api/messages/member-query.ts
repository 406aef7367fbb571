import type { SearchQuery } from '#generated/zitadel/member_pb.js';

/**
 * The users that all of the queries leave; undefined: all members. Members are machine users: queries for the names and
 * addresses of people find none.
 */
export function memberIdsOf(queries: readonly SearchQuery[]): readonly string[] | undefined {
  let userIds: readonly string[] | undefined;
  for (const { query } of queries) {
    const wanted = query.case === 'userIdQuery' ? [query.value.userId] : [];
    userIds = userIds === undefined ? wanted : userIds.filter((userId) => wanted.includes(userId));
  }
  return userIds;
}
