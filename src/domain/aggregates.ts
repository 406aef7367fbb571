import { accessTokenDecider } from './access-token/decider.ts';
import { checkpointKeyDecider } from './checkpoint-key/decider.ts';
import { clientAssertionDecider } from './client-assertion/decider.ts';
import type { Decider, DomainEvent } from './decider.ts';
import { instanceDecider } from './instance/decider.ts';
import { machineSecretUseDecider } from './machine-secret-use/decider.ts';
import { machineUserDecider } from './machine-user/decider.ts';
import { organizationDecider } from './organization/decider.ts';
import { secretPolicyDecider } from './secret-policy/decider.ts';
import { nodeDecider } from './subscription/node.ts';
import { parkedEventsDecider } from './subscription/parked-events.ts';
import { progressDecider } from './subscription/progress.ts';
import { userNameDecider } from './user-name/decider.ts';
import { webhookDecider } from './webhook/decider.ts';

/** A kind of aggregate: the decider of its rules, and the category that its streams are named by. */
export interface Aggregate<Command, Event extends DomainEvent, State> {
  readonly category: string;
  readonly decider: Decider<Command, Event, State>;
  /** Types of events that hold the whole state: a stream needs not be read from before the last of them. */
  readonly snapshots?: readonly Event['type'][];
}

export const machineUser = { category: 'machineUser', decider: machineUserDecider };
export const machineSecretUse = { category: 'machineSecretUse', decider: machineSecretUseDecider };
export const organization = { category: 'organization', decider: organizationDecider };
export const instance = { category: 'instance', decider: instanceDecider };
export const userName = { category: 'userName', decider: userNameDecider };
export const accessToken = { category: 'accessToken', decider: accessTokenDecider };
export const clientAssertion = { category: 'clientAssertion', decider: clientAssertionDecider };
/** By `secretPolicyIdOf`. */
export const secretPolicy = { category: 'secretPolicy', decider: secretPolicyDecider };

/** One in an instance, by the instance's id. */
export const checkpointKey = { category: 'checkpointKey', decider: checkpointKeyDecider };

/** By the name of the subscriber. */
export const subscription = {
  category: 'subscription',
  decider: progressDecider,
  snapshots: ['SubscriptionAdvanced'] as const,
};
/** By the id of a process that delivers to subscribers */
export const node = {
  category: 'node',
  decider: nodeDecider,
  snapshots: ['NodeSeen', 'NodeLeft'] as const,
};
/** By the name of the subscriber too: a stream of its own, so that it stays short. */
export const parkedEvents = { category: 'parkedEvents', decider: parkedEventsDecider };

export const webhook = { category: 'webhook', decider: webhookDecider };

/** There is one instance in an event store; its stream has a fixed name, so that two first starts meet in it. */
export const instanceId = 'keyturn';

/** `<category>-<id>`: the form that EventStoreDB's category projection splits at the first hyphen. */
export function streamOf(aggregate: { readonly category: string }, id: string): string {
  return `${aggregate.category}-${id}`;
}

/** The id of the aggregate whose stream this is. */
export function idOfStream(stream: string): string {
  return stream.slice(stream.indexOf('-') + 1);
}
