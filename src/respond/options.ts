// The options of `falco-nats respond`.

import { NATS_OPTIONS } from '../shared/nats/options.ts'
import { COMMON_OPTIONS } from '../shared/options/common.ts'
import { duration, nonEmpty, streamName } from '../shared/options/parsers.ts'
import { flag, optional, required, type ValuesOf } from '../shared/options/table.ts'

/** No argument can have it in it. */
export const BETWEEN = '\0'

export const RESPOND_OPTIONS = {
  config: optional({ flags: '--config <file>', parse: nonEmpty, help: 'the file of playbooks' }),
  playbook: optional({
    flags: '-p, --playbook <step>',
    commandLineOnly: true,
    parse: nonEmpty,
    help: 'instead of a file: one playbook of one step, such as delete-pod; dry without --act',
  }),
  subject: optional({
    flags: '-s, --subject <subjects>',
    commandLineOnly: true,
    parse: (text: string): readonly string[] => text.split(',').map((one) => one.trim()),
    help: 'with --playbook: what it acts on, comma-separated, with wildcards',
  }),
  env: optional({
    flags: '-e, --env <key=value>',
    commandLineOnly: true,
    parse: keysAndValues,
    help: 'with --playbook: a parameter of the step, such as gracePeriodSeconds=0; as often as needed',
  }),
  act: flag({
    flags: '--act',
    commandLineOnly: true,
    help: 'with --playbook: really do it; a file says it with dryRun: false',
  }),
  dryRun: flag({
    flags: '--dry-run',
    help: 'do nothing, whatever the file says; look at everything and say what would be done',
  }),
  check: flag({
    flags: '--check',
    commandLineOnly: true,
    help: 'validate the playbooks, say what each acts on and does, exit; asks no server',
  }),
  rbac: flag({
    flags: '--rbac',
    commandLineOnly: true,
    help: 'print the rules of the Role that just these playbooks need, exit',
  }),
  test: optional({
    flags: '--test <file>',
    commandLineOnly: true,
    parse: nonEmpty,
    help: 'run the one alert in this file through the playbooks, dry, say what would be done, exit',
  }),
  durable: required({
    flags: '--durable <prefix>',
    default: 'falco-respond',
    parse: durablePrefix,
    help: "the JetStream consumers' names are <prefix>-<playbook>; replicas share them",
  }),
  stream: optional({
    flags: '--stream <name>',
    parse: streamName,
    help: 'the stream that has the alerts; without it, the one that takes the subjects',
  }),
  core: flag({
    flags: '--core',
    help: 'never JetStream: alerts that come while nobody listens or a step fails are lost',
  }),
  ...NATS_OPTIONS,
  server: required({ ...NATS_OPTIONS.server, flags: '--server <urls>' }),
  connectionName: optional({
    ...NATS_OPTIONS.connectionName,
    defaultText: 'falco-nats-respond@<host>',
  }),
  drainTimeout: required({
    flags: '--drain-timeout <duration>',
    default: '30s',
    parse: duration('24d'),
    help: 'how long a stop may take to finish the steps that run',
  }),
  ...COMMON_OPTIONS,
}

export type RespondConfig = ValuesOf<typeof RESPOND_OPTIONS>

function keysAndValues(text: string): readonly (readonly [key: string, value: string])[] {
  return text.split(BETWEEN).map((one) => {
    const at = one.indexOf('=')
    if (at < 1) throw new Error('allowed: key=value')
    return [one.slice(0, at), one.slice(at + 1)]
  })
}

/** With a playbook's name behind it, it must be the name of a consumer. */
function durablePrefix(text: string): string {
  if (!/^[\w-]{1,64}$/.test(text))
    throw new Error('allowed: 1 to 64 letters, digits, dashes and underscores')
  return text
}
