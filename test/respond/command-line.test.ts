import { describe, expect, it } from 'vitest'
import { optionsMarkdown } from '../../deploy/generate/readme.ts'
import { parseRespond } from '../../src/respond/command-line.ts'
import { RESPOND_OPTIONS, type RespondConfig } from '../../src/respond/options.ts'
import { UsageError } from '../../src/shared/errors.ts'
import { environmentNames, envName } from '../../src/shared/options/table.ts'

function configOf(argv: string[], env: Record<string, string> = {}): RespondConfig {
  const invocation = parseRespond(argv, env)
  if (invocation.run === 'print') throw new Error(invocation.text)
  return invocation.config
}

const FILE = ['--config', 'p.yaml']
const SINGLE = ['-p', 'delete-pod', '-s', 'falco.>']

describe('parseRespond', () => {
  it('has the documented defaults', () => {
    expect(parseRespond(FILE, {})).toMatchObject({
      run: 'respond',
      config: {
        config: 'p.yaml',
        playbook: undefined,
        act: false,
        dryRun: false,
        durable: 'falco-respond',
        stream: undefined,
        core: false,
        server: [{ address: '127.0.0.1:4222' }],
        drainTimeout: 30_000,
        metricsAddress: { port: 9376 },
        logLevel: 'info',
      },
    })
  })

  it('has the shape of the old deploy_playbook', () => {
    const argv = ['-p', 'delete-pod', '-s', 'falco.a.*, falco.b', '-e', 'a=1', '-e', 'b=x=y,z']
    expect(configOf([...argv, '--act', '--server', 'tls://h:1'])).toMatchObject({
      playbook: 'delete-pod',
      subject: ['falco.a.*', 'falco.b'],
      env: [
        ['a', '1'],
        ['b', 'x=y,z'],
      ],
      act: true,
      server: [{ shown: 'tls://h:1' }],
    })
    expect(configOf([...SINGLE, '--env', 'k='])).toMatchObject({ env: [['k', '']], act: false })
  })

  it('says what is to be done', () => {
    expect(parseRespond([...FILE, '--check'], {}).run).toBe('check')
    expect(parseRespond([...SINGLE, '--rbac'], {}).run).toBe('rbac')
    expect(parseRespond([...FILE, '--test', 'a.json'], {})).toMatchObject({
      run: 'test',
      alert: 'a.json',
    })
  })

  it('reads the environment, but not what one call is to do', () => {
    const env = {
      FALCO_NATS_CONFIG: 'e.yaml',
      FALCO_NATS_DRY_RUN: 'true',
      FALCO_NATS_DURABLE: 'mine',
      FALCO_NATS_STREAM: 'S',
      NATS_URL: 'nats://e:2',
      // The forwarder's, in a container that has both.
      FALCO_NATS_SUBJECT: 'falco.<priority>.<rule>',
      FALCO_NATS_ACT: 'true',
      FALCO_NATS_CHECK: 'true',
      FALCO_NATS_PLAYBOOK: 'x',
    }
    expect(parseRespond([], env)).toMatchObject({
      run: 'respond',
      config: {
        config: 'e.yaml',
        dryRun: true,
        durable: 'mine',
        stream: 'S',
        server: [{ address: 'e:2' }],
        subject: undefined,
        act: false,
        playbook: undefined,
      },
    })
  })

  it.each([
    [[], {}, /^no playbooks are given; allowed: --config or --playbook$/],
    [[...FILE, ...SINGLE], {}, /^--config and --playbook are given; allowed: one of them$/],
    [['-p', 'slack'], {}, /^--playbook is given without --subject/],
    [[...FILE, '-s', 'x'], {}, /^--subject is given without --playbook/],
    [[...FILE, '-e', 'a=b'], {}, /^--env is given without --playbook/],
    [[...FILE, '--act'], {}, /^--act is given without --playbook/],
    [[...SINGLE, '--act', '--dry-run'], {}, /^--act and --dry-run are given/],
    [[...SINGLE, '--act'], { FALCO_NATS_DRY_RUN: '1' }, /^--act and --dry-run are given/],
    [[...SINGLE, '-e', 'a=b', '-e', 'nothing'], {}, /^--env ".*nothing": allowed: key=value$/],
    [[...SINGLE, '-e', '=b'], {}, /^--env "=b": allowed: key=value$/],
    [[...FILE, '--core', '--stream', 'S'], {}, /^--core and --stream are given/],
    [[...FILE, '--check', '--rbac'], {}, /^--check and --rbac are given/],
    [[...FILE, '--durable', 'a.b'], {}, /^--durable "a\.b": allowed: 1 to 64 letters/],
    [[...FILE, '--creds', 'a', '--nkey', 'b'], {}, /^--creds and --nkey are given/],
    [[...FILE, '--server', 'http://u:s3cr3t@x'], {}, /^--server "\*\*\*@x": allowed/],
    [[...FILE, '--config='], {}, /^--config "": it must not be empty/],
    [[...FILE, 'surplus'], {}, /^too many arguments.*falco-nats respond --help lists/],
    [[...FILE, '--pipe', 'x'], {}, /^unknown option '--pipe'/],
    [[...FILE, '--test'], {}, /argument missing; falco-nats respond --help/],
  ])('ends at once with one line for %j %j', (argv, env, message) => {
    const parse = () => parseRespond(argv, env as Record<string, string>)
    expect(parse).toThrow(UsageError)
    expect(parse).toThrow(message)
    expect(parse).not.toThrow(/\n|s3cr3t/)
  })

  it('has each option in --help and in the table of the README', () => {
    const help = parseRespond(['--help'], {})
    const table = optionsMarkdown(RESPOND_OPTIONS)
    for (const [key, row] of Object.entries(RESPOND_OPTIONS)) {
      for (const name of environmentNames(key, row)) {
        expect(help).toHaveProperty('text', expect.stringContaining(name))
        expect(table).toContain(`\`${name}\``)
      }
      if (!('flags' in row)) continue
      expect(help).toHaveProperty('text', expect.stringContaining(row.flags as string))
      expect(table).toContain(`| \`${row.flags}\` |`)
    }
    expect(table).not.toContain(envName('act'))
  })

  it('leaves no letter with two meanings', () => {
    const letters = Object.values(RESPOND_OPTIONS)
      .flatMap((row) => ('flags' in row ? [(row.flags as string).match(/^-(\w),/)?.[1]] : []))
      .filter((letter) => letter !== undefined)
    expect(letters).toEqual(['p', 's', 'e'])
  })
})
