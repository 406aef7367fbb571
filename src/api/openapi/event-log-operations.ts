import { answer, errorResponses, type Paths } from './operation.ts';

const text = { type: 'string' } as const;
const tags = ['Event log'];

const ownReport = {
  type: 'object',
  required: ['secret'],
  properties: { secret: { type: 'string', format: 'password' }, source: text, url: text },
};
const ownAnswer = {
  type: 'object',
  required: ['live', 'retired'],
  properties: { live: { type: 'boolean' }, retired: { type: 'boolean' } },
};
const githubReport = {
  type: 'array',
  items: {
    type: 'object',
    required: ['token', 'type'],
    properties: { token: { type: 'string', format: 'password' }, type: text, url: text, source: text },
  },
};
const githubAnswer = {
  type: 'array',
  items: {
    type: 'object',
    required: ['token_raw', 'token_type', 'label'],
    properties: {
      token_raw: text,
      token_type: text,
      label: { type: 'string', enum: ['true_positive', 'false_positive'] },
    },
  },
};

const ticketAnswer = {
  type: 'object',
  required: ['ticket', 'expiresIn'],
  properties: {
    ticket: { type: 'string', format: 'password' },
    expiresIn: { type: 'integer', description: 'in seconds' },
  },
};

const streamParameters = [
  query('after', text, 'Begin behind this position. Without it and `Last-Event-ID`: from now on.'),
  query('type', { type: 'array', items: text }, 'Of these types only.'),
  query('user', text, 'Of this machine user only.'),
  query('organization', text, 'Of this organization only.'),
];

/** What is no method of a service: the stream of events, the head of the log, and reports of leaked secrets. */
export const eventLogPathItems: Paths = {
  '/keyturn/v1/events': {
    get: {
      operationId: 'events',
      tags,
      summary: 'Server-sent events',
      description:
        'Needs the permission `events.read`. Each event is a CloudEvent, its `id` the position in the log.',
      security: [{ accessToken: [] }, {}],
      parameters: [
        ...streamParameters,
        query(
          'ticket',
          text,
          'Instead of a token and of all other parameters, for the EventSource of browsers.',
        ),
        {
          name: 'Last-Event-ID',
          in: 'header',
          required: false,
          description: 'Goes before `after`: what an EventSource sends when it connects again.',
          schema: text,
        },
      ],
      responses: { '200': answer('a stream without an end', text, 'text/event-stream'), ...errorResponses },
    },
  },
  '/keyturn/v1/events/tickets': {
    post: {
      operationId: 'eventTicket',
      tags,
      summary: 'A ticket that opens the event stream of this query once, within a minute',
      description:
        'Needs the permission `events.read`. What it opens ends with the token that it was asked for with.',
      security: [{ accessToken: [] }],
      parameters: streamParameters,
      responses: { '200': answer('the ticket', ticketAnswer), ...errorResponses },
    },
  },
  '/keyturn/v1/events/schema.json': {
    get: forAnyone('eventSchema', 'The JSON Schema of the events', 'application/schema+json', {
      type: 'object',
    }),
  },
  '/keyturn/v1/log/checkpoint': {
    get: forAnyone(
      'logCheckpoint',
      'The last signed checkpoint of the log (C2SP tlog-checkpoint)',
      'text/plain',
      text,
    ),
  },
  '/keyturn/v1/log/verifier-key': {
    get: forAnyone('logVerifierKey', 'What checkpoints are verified with', 'text/plain', text),
  },
  '/keyturn/v1/leaks': {
    post: {
      operationId: 'reportLeak',
      tags,
      summary: 'A secret was found where it should not be',
      description: 'From anyone; or from GitHub, with its signature.',
      security: [],
      parameters: ['GitHub-Public-Key-Identifier', 'GitHub-Public-Key-Signature'].map((name) => ({
        name,
        in: 'header',
        required: false,
        schema: text,
      })),
      requestBody: {
        required: true,
        content: { 'application/json': { schema: { oneOf: [ownReport, githubReport] } } },
      },
      responses: {
        '200': answer('whether it is live, and what was done', { oneOf: [ownAnswer, githubAnswer] }),
        ...errorResponses,
      },
    },
  },
};

function query(name: string, schema: object, description: string) {
  return { name, in: 'query', required: false, description, schema };
}

function forAnyone(operationId: string, summary: string, mediaType: string, schema: object) {
  return {
    operationId,
    tags,
    summary,
    security: [],
    responses: { '200': answer('for anyone', { ...schema }, mediaType), ...errorResponses },
  };
}
