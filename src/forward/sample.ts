// `falco-nats sample`: alerts as Falco 0.44 writes them (keys in byte order, times in
// nanoseconds), so that a pipe can be tried with no Falco at all.

import { hostname } from 'node:os'
import { setImmediate as afterPoll, setTimeout as delay } from 'node:timers/promises'
import type { Output } from '../shared/process/output.ts'

interface SampleOptions {
  /** 0: without end. */
  readonly count: number
  /** Alerts per second; 0: as fast as they are read. */
  readonly rate: number
}

/** At full speed, signals are heard after so many alerts. */
const ALERTS_A_TURN = 100

/** Writes alerts until there are `count`, or until nobody reads any more. Gives the exit code. */
export async function writeSamples(output: Output, { count, rate }: SampleOptions): Promise<0> {
  const startedAt = performance.now()
  for (let index = 0; count === 0 || index < count; index++) {
    const early = rate > 0 ? startedAt + (index * 1000) / rate - performance.now() : 0
    if (early > 0) await delay(early)
    else if (index % ALERTS_A_TURN === 0) await afterPoll()
    const line = `${sampleAlert(index, new Date())}\n`
    if (!output.write(line) && (await output.written()) !== undefined) break
  }
  return 0
}

/** Alert number `index` as a line without its newline. The same index gives the same kind. */
export function sampleAlert(index: number, time: Date): string {
  const { rule, priority, source, tags, text, fields } = KINDS[index % KINDS.length]!
  const nanoseconds = String(index % 1_000_000).padStart(6, '0')
  const iso = time.toISOString().slice(0, -1) + nanoseconds
  const alert = {
    hostname: hostname(),
    output: `${iso}+0000: ${priority} ${text}`,
    output_fields: sorted({ 'evt.time': 0, ...fields }),
    priority,
    rule,
    source,
    tags,
    time: `${iso}Z`,
  }
  // Beyond 2^53 a number cannot hold it: Falco's evt.time is in nanoseconds.
  return JSON.stringify(alert).replace('"evt.time":0', `"evt.time":${time.getTime()}${nanoseconds}`)
}

const sorted = (fields: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)))

const CONTAINER = {
  'container.id': '3ad7b26ded6d',
  'container.image.repository': 'docker.io/library/nginx',
  'container.image.tag': '1.29',
  'container.name': 'nginx',
  'k8s.ns.name': 'shop',
  'k8s.pod.name': 'web-5d4c8b7f9-x2x7k',
}

const KINDS = [
  {
    rule: 'Terminal shell in container',
    priority: 'Notice',
    source: 'syscall',
    tags: ['T1059', 'container', 'maturity_stable', 'mitre_execution', 'shell'],
    text: 'A shell was spawned in a container with an attached terminal | evt_type=execve user=root process=bash parent=runc command=bash terminal=34816 container_id=3ad7b26ded6d container_name=nginx k8s_pod_name=web-5d4c8b7f9-x2x7k k8s_ns_name=shop',
    fields: {
      ...CONTAINER,
      'evt.type': 'execve',
      'proc.cmdline': 'bash',
      'proc.name': 'bash',
      'proc.pname': 'runc',
      'proc.tty': 34816,
      'user.loginuid': -1,
      'user.name': 'root',
      'user.uid': 0,
    },
  },
  {
    rule: 'Read sensitive file untrusted',
    priority: 'Warning',
    source: 'syscall',
    tags: ['T1555', 'container', 'filesystem', 'host', 'maturity_stable'],
    text: 'Sensitive file opened for reading by non-trusted program | file=/etc/shadow evt_type=openat user=root process=cat command=cat /etc/shadow container_id=host container_name=host k8s_pod_name=<NA> k8s_ns_name=<NA>',
    fields: {
      'container.id': 'host',
      'container.name': 'host',
      'evt.type': 'openat',
      'fd.name': '/etc/shadow',
      'k8s.ns.name': null,
      'k8s.pod.name': null,
      'proc.cmdline': 'cat /etc/shadow',
      'user.name': 'root',
    },
  },
  {
    rule: 'Redirect STDOUT/STDIN to Network Connection in Container',
    priority: 'Notice',
    source: 'syscall',
    tags: ['T1059', 'container', 'maturity_stable', 'network', 'process'],
    text: 'Redirect stdout/stdin to network connection | gparent=containerd-shim fd.sip=203.0.113.7 connection=10.244.1.17:49152->203.0.113.7:4444 lport=49152 rport=4444 evt_type=dup2 user=root process=bash command=bash -i container_id=3ad7b26ded6d k8s_pod_name=web-5d4c8b7f9-x2x7k k8s_ns_name=shop',
    fields: {
      ...CONTAINER,
      'evt.type': 'dup2',
      'fd.name': '10.244.1.17:49152->203.0.113.7:4444',
      'fd.sip': '203.0.113.7',
      'proc.cmdline': 'bash -i',
      'user.name': 'root',
    },
  },
  {
    rule: 'Drop and execute new binary in container',
    priority: 'Critical',
    source: 'syscall',
    tags: ['PCI_DSS_11.5.1', 'TA0003', 'container', 'maturity_stable', 'process'],
    text: 'Executing binary not part of base image | proc_exe=/tmp/xmrig proc_sname=bash evt_type=execve user=www-data process=xmrig command=xmrig -o pool.example:3333 container_id=3ad7b26ded6d k8s_pod_name=web-5d4c8b7f9-x2x7k k8s_ns_name=shop',
    fields: {
      ...CONTAINER,
      'evt.type': 'execve',
      'proc.cmdline': 'xmrig -o pool.example:3333',
      'proc.exe': '/tmp/xmrig',
      'user.name': 'www-data',
      'user.uid': 33,
    },
  },
  {
    rule: 'Attach/Exec Pod',
    priority: 'Notice',
    source: 'k8s_audit',
    tags: ['k8s'],
    text: 'Attach/Exec to pod (user=alice@example.com pod=web-5d4c8b7f9-x2x7k resource=pods ns=shop action=exec command=sh)',
    fields: {
      'ka.target.name': 'web-5d4c8b7f9-x2x7k',
      'ka.target.namespace': 'shop',
      'ka.target.resource': 'pods',
      'ka.target.subresource': 'exec',
      'ka.uri.param[command]': 'sh',
      'ka.user.name': 'alice@example.com',
    },
  },
]
