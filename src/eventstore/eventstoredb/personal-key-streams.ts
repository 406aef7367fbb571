/** Streams with this prefix hold what is known of one personal key each, and are not part of Keyturn's log. */
export const personalKeyStreams = 'personalKey-';
/** What the types of their events begin with, and no type of the log does. */
export const personalKeyTypes = 'PersonalKey';

export function isOfPersonalKey({ stream }: { readonly stream: string }): boolean {
  return stream.startsWith(personalKeyStreams);
}
