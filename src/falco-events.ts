// How many alerts there were of each kind, with pod and namespace: the series of `falco_events`, as
// falco-exporter counted them. Bounded: pods come and go, and each would stay for ever.

import { type Alert, PRIORITIES } from './alert.ts'

/** What tells one series from another. A missing or odd value is the empty text. */
export const EVENT_LABELS = [
  'rule',
  'priority',
  'hostname',
  'source',
  'tags',
  'k8s_ns_name',
  'k8s_pod_name',
] as const

export interface EventSeries {
  /** One for each of EVENT_LABELS. */
  readonly values: readonly string[]
  count: number
  /** Grows from alert to alert. */
  seen: number
}

export interface FalcoEvents {
  /** `severity`: index into PRIORITIES, which is also Falco's number. */
  count(alert: Alert, severity: number): void
  series(): ReadonlySet<EventSeries>
  /** How many series have been folded into others. */
  folded(): number
}

/** A level for each label; under the last one is the series. */
type Level = Map<string, Level | EventSeries>

const VALUE_LENGTH_MAX = 256
const TAGS_LENGTH_MAX = 1024
const RULES_MAX = 1024
/** So many are folded at once, as a share of all: finding the oldest costs a look at each. */
const FOLDED_SHARE = 1 / 16
const NUMBERS = PRIORITIES.map((_, index) => String(index))
const [TAGS, NAMESPACE, POD] = [4, 5, 6]

/** At most `seriesMax` series, not fewer than 10; Infinity is without limit. */
export function createFalcoEvents(seriesMax: number): FalcoEvents {
  const root: Level = new Map()
  const all = new Set<EventSeries>()
  const tagsOf = createTagsText()
  const path: string[] = Array(EVENT_LABELS.length).fill('')
  let clock = 0
  let folded = 0

  function find(values: readonly string[]): EventSeries | undefined {
    let at: Level | EventSeries | undefined = root
    for (let depth = 0; depth < values.length && at; depth++) at = (at as Level).get(values[depth]!)
    return at as EventSeries | undefined
  }

  function add(values: readonly string[]): EventSeries {
    const series = { values: [...values], count: 0, seen: 0 }
    all.add(series)
    let level = root
    for (const value of values.slice(0, POD)) {
      const next = (level.get(value) ?? new Map()) as Level
      level.set(value, next)
      level = next
    }
    level.set(values[POD]!, series)
    return series
  }

  function remove(series: EventSeries): void {
    all.delete(series)
    const levels: Level[] = [root]
    for (const value of series.values.slice(0, POD)) levels.push(levels.at(-1)!.get(value) as Level)
    for (let depth = POD; depth >= 0; depth--) {
      levels[depth]!.delete(series.values[depth]!)
      if (levels[depth]!.size > 0) break
    }
  }

  /** Makes room: the least recently seen lose their pod. Where none has one, the namespace, or all. */
  function fold(): void {
    while (all.size >= seriesMax) {
      const ranked = Map.groupBy(all, rankOf)
      const rank = GIVEN_UP.findIndex((_, rank) => ranked.has(rank))
      const oldest = ranked.get(rank)!.sort((a, b) => a.seen - b.seen)
      for (const series of oldest.slice(0, Math.ceil(seriesMax * FOLDED_SHARE))) {
        remove(series)
        const values = series.values.map((value, label) =>
          GIVEN_UP[rank]!.includes(label) ? '' : value,
        )
        const into = find(values) ?? add(values)
        into.count += series.count
        into.seen = Math.max(into.seen, series.seen)
        folded++
      }
    }
  }

  function findOrAdd(values: readonly string[]): EventSeries {
    const known = find(values)
    if (known) return known
    if (all.size >= seriesMax) fold()
    return find(values) ?? add(values)
  }

  return {
    count(alert, severity) {
      const { rule, hostname, source, output_fields: fields, tags } = alert
      path[0] = rule
      path[1] = NUMBERS[severity]!
      path[2] = text(hostname)
      path[3] = text(source)
      path[TAGS] = tagsOf(rule, tags)
      const known = typeof fields === 'object' && fields !== null
      path[NAMESPACE] = known ? text((fields as Fields)['k8s.ns.name']) : ''
      path[POD] = known ? text((fields as Fields)['k8s.pod.name']) : ''
      const series = find(path) ?? findOrAdd(path.map(clean))
      series.count++
      series.seen = ++clock
    },
    series: () => all,
    folded: () => folded,
  }
}

type Fields = Record<string, unknown>

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** As it is where it is short and well-formed, which is always but for somebody who means harm. */
function clean(value: string, label: number): string {
  const length = label === TAGS ? TAGS_LENGTH_MAX : VALUE_LENGTH_MAX
  if (value.length <= length && value.isWellFormed()) return value
  // Through bytes: a slice would keep the whole of the text in memory.
  return Buffer.from(value.slice(0, length)).toString()
}

/** `,a,b,`: made anew only when the tags of a rule are others than the last time. */
function createTagsText() {
  const latest = new Map<string, { tags: unknown[]; text: string }>()
  return (rule: string, tags: unknown): string => {
    const list: unknown[] = Array.isArray(tags) ? tags : []
    const known = latest.get(rule)
    if (known && isSame(known.tags, list)) return known.text
    const text = `,${list.filter((tag) => typeof tag === 'string').join(',')},`
    if (latest.size >= RULES_MAX) latest.clear()
    if (text.length <= TAGS_LENGTH_MAX && rule.length <= VALUE_LENGTH_MAX)
      latest.set(rule, { tags: list, text })
    return text
  }
}

function isSame(one: readonly unknown[], other: readonly unknown[]): boolean {
  if (one.length !== other.length) return false
  for (let index = 0; index < one.length; index++) if (one[index] !== other[index]) return false
  return true
}

/** Which labels are given up: the pod first, then the namespace, at last all but the priority. */
const GIVEN_UP: readonly (readonly number[])[] = [
  [POD],
  [NAMESPACE, POD],
  [0, 2, 3, TAGS, NAMESPACE, POD],
]

/** Index into GIVEN_UP of what a series can still give up first; -1: nothing is left. */
const rankOf = ({ values }: EventSeries) =>
  GIVEN_UP.findIndex((labels) => labels.some((label) => values[label] !== ''))
