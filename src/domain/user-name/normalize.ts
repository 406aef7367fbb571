/**
 * The form in which a user name is unique in the instance and found by: trimmed, compatibility-composed
 * (Unicode NFKC) and lower case, so that look-alike spellings of one name do not make two users.
 */
export function normalizeUserName(userName: string): string {
  return userName.normalize('NFKC').trim().toLowerCase();
}
