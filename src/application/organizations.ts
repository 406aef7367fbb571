import { instance, instanceId, organization } from '../domain/aggregates.ts';
import { KeyturnError } from '../domain/errors.ts';
import type { OrganizationState } from '../domain/organization/decider.ts';
import type { CommandContext, CommandHandler, CommandOutcome } from './command-handler.ts';
import type { ChangeDetails } from './machine-users.ts';
import type { Owners } from './owners.ts';
import { newObjectId } from './random-ids.ts';

export interface OrganizationDirectory {
  isOrganizationNameTaken(name: string): boolean;
}

/** The use cases of organizations. */
export class Organizations {
  readonly #commands: CommandHandler;
  readonly #directory: OrganizationDirectory;
  readonly #owners: Owners;

  constructor(commands: CommandHandler, directory: OrganizationDirectory, owners: Owners) {
    this.#commands = commands;
    this.#directory = directory;
    this.#owners = owners;
  }

  /**
   * Names are unique for people who read them, by the read model: two that are added at the same moment on two nodes
   * may share one. Nothing else depends on it, ids are what tells organizations apart.
   *
   * @throws KeyturnError `ORGANIZATION_NAME_EMPTY`, `ORGANIZATION_ALREADY_EXISTS`
   */
  async add(
    name: string,
    context: CommandContext,
  ): Promise<{ organizationId: string; details: ChangeDetails }> {
    if (this.#directory.isOrganizationNameTaken(name)) throw new KeyturnError('ORGANIZATION_ALREADY_EXISTS');
    const organizationId = newObjectId();
    const command = { type: 'AddOrganization', name } as const;
    const outcome = await this.#commands.execute(organization, organizationId, command, context);
    return { organizationId, details: detailsOf(organizationId, outcome) };
  }

  /**
   * Its users can then neither sign in nor call the management API.
   *
   * @throws KeyturnError `ORGANIZATION_IS_DEFAULT` for the one of the set-up, so that nobody locks all out;
   *   `LAST_OWNER`, `ORGANIZATION_NOT_FOUND`, `ORGANIZATION_ALREADY_INACTIVE`
   */
  async deactivate(organizationId: string, context: CommandContext): Promise<ChangeDetails> {
    const { state } = await this.#commands.load(instance, instanceId);
    if (state.status !== 'absent' && state.organizationId === organizationId) {
      throw new KeyturnError('ORGANIZATION_IS_DEFAULT');
    }
    return this.#owners.unlessLastIn(organizationId, () =>
      this.#change('Deactivate', organizationId, context),
    );
  }

  /** @throws KeyturnError `ORGANIZATION_NOT_FOUND`, `ORGANIZATION_ALREADY_ACTIVE` */
  reactivate(organizationId: string, context: CommandContext): Promise<ChangeDetails> {
    return this.#change('Reactivate', organizationId, context);
  }

  async #change(
    type: 'Deactivate' | 'Reactivate',
    organizationId: string,
    context: CommandContext,
  ): Promise<ChangeDetails> {
    const outcome = await this.#commands.execute(organization, organizationId, { type }, context);
    return detailsOf(organizationId, outcome);
  }
}

function detailsOf(organizationId: string, outcome: CommandOutcome<OrganizationState>): ChangeDetails {
  const { state, streamVersion, occurredAt } = outcome;
  if (state.status === 'absent') throw new KeyturnError('ORGANIZATION_NOT_FOUND');
  return {
    sequence: streamVersion,
    creationDate: state.addedAt,
    changeDate: occurredAt,
    resourceOwner: organizationId,
  };
}
