// Files of alerts as Falco writes them: the shapes of test/fixtures, cut or filled to a size, with as
// many rules and pods as are wanted. Each ends with room for the time at which it is written.

import { writeFileSync } from 'node:fs'
import { alertLines } from '../../test/support/fixtures.ts'
import { generator } from '../../test/support/random.ts'

export interface AlertShape {
  readonly rules?: number
  /** Pods of each rule. */
  readonly pods?: number
  /** The least and the most bytes of an alert. */
  readonly bytes?: readonly [number, number]
  /** How many different ones there are. */
  readonly lines?: number
}

/** bench/native/alert.h */
const STAMP = '0'.repeat(20)
const OUTPUT_LENGTH = 200

// biome-ignore lint/suspicious/noExplicitAny: alerts of many shapes
const shapes: any[] = alertLines()
  .map((line) => JSON.parse(line.toString()))
  .filter(({ output_fields, output }) => output_fields && typeof output === 'string')
const rulesKnown = [...new Map(shapes.map((shape) => [shape.rule, shape])).values()]

/** Gives the mean length. */
export function writeAlerts(file: string, shape: AlertShape = {}): number {
  const { rules = 30, pods = 20, bytes = [500, 1520], lines = 20_000 } = shape
  const below = generator(1)
  let text = ''
  for (let n = 0; n < lines; n++) {
    // All rules at first, then at random.
    const alert = alertOf(n < rules ? n : below(rules), below(pods), n)
    text += `${sized(alert, bytes[0] + below(bytes[1] - bytes[0] + 1))}\n`
  }
  writeFileSync(file, text)
  return Buffer.byteLength(text) / lines - 1
}

/** What tells kinds of alerts apart is the rule's and the pod's, whatever the shape. */
function alertOf(rule: number, pod: number, n: number) {
  const { priority, tags = [], source, rule: name } = rulesKnown[rule % rulesKnown.length]
  const { uuid: _, ...shape } = shapes[n % shapes.length]
  const output_fields = {
    ...shape.output_fields,
    'k8s.ns.name': pod > 0 ? `namespace-${pod % 4}` : null,
    'k8s.pod.name': pod > 0 ? `pod-${pod}-7c9f6d5b8-x2x4z` : null,
  }
  return {
    ...shape,
    hostname: 'node-7',
    priority,
    rule: rule < rulesKnown.length ? name : `${name} ${rule}`,
    source,
    tags,
    output_fields,
    'bench.at': STAMP,
  }
}

/** Cuts `output`, then takes the longest fields away, then fills `output`, until the size is right. */
function sized(alert: ReturnType<typeof alertOf>, bytes: number): string {
  const over = () => Buffer.byteLength(JSON.stringify(alert)) - bytes
  if (over() > 0) alert.output = alert.output.slice(0, OUTPUT_LENGTH)
  const fields: Record<string, unknown> = alert.output_fields
  const lengthOf = (name: string) => JSON.stringify(fields[name]).length
  for (const name of Object.keys(fields).sort((a, b) => lengthOf(b) - lengthOf(a)))
    if (over() > 0 && !name.startsWith('k8s.')) delete fields[name]
  if (over() > 0) alert.output = ''
  const room = -over()
  if (room > 0) alert.output += ' evt_type=openat'.repeat(Math.ceil(room / 16)).slice(0, room)
  return JSON.stringify(alert)
}
