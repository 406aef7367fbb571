/** What an auditor asked for cannot be had as it was asked. The message says why. */
export class AuditError extends Error {
  override readonly name = 'AuditError';
}
