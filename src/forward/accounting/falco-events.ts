// How many alerts there were of each kind, with pod and namespace: the series of `falco_events`, as
// falco-exporter counted them. Bounded: pods come and go, and each would stay for ever.

import { type Alert, outputField, PRIORITIES } from '../../shared/alert/alert.ts'

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
  values: readonly string[]
  count: number
  /** Grows from alert to alert. */
  seen: number
  /** Where its count is now, when it is no more. */
  into: EventSeries | undefined
}

/** Where an alert that said the same was counted. */
export interface Countable {
  /** Index into PRIORITIES, which is also Falco's number. */
  readonly severity: number
  series: EventSeries | undefined
}

export interface FalcoEvents {
  /** `alert` is asked when there is no such. */
  count(countable: Countable, alert: () => Alert): void
  series(): ReadonlySet<EventSeries>
  /** How many series have been folded into others. */
  folded(): number
}

const VALUE_LENGTH_MAX = 256
const TAGS_LENGTH_MAX = 1024
/** So many are folded at once, as a share of all: finding the oldest costs a look at each. */
const FOLDED_SHARE = 1 / 16
/** So many in such a time: more would be gone before the next scrape. What is new beyond that counts where it would end. */
const [FOLDED_MAX, FOLDED_WITHIN_MS] = [2_000, 10_000]

/** At most `seriesMax` series, not fewer than 10; Infinity is without limit. */
export function createFalcoEvents(seriesMax: number): FalcoEvents {
  const all = createSeriesSet()
  let clock = 0
  let folded = 0
  let foldedSince = performance.now()
  let foldedBefore = 0

  /** Where such an alert counts. What is new, and comes faster than others can be folded, counts where it would end. */
  function seriesFor(values: readonly string[]): EventSeries {
    const known = all.find(values)
    if (known || isRoom() || mayFold()) return known ?? findOrAdd(values)
    for (let rank = rankOf(values); rank >= 0 && rank < GIVEN_UP.length; rank++) {
      const near = all.find(values, rank)
      if (near) return near
    }
    return findOrAdd(values)
  }

  function mayFold(): boolean {
    const now = performance.now()
    if (now - foldedSince > FOLDED_WITHIN_MS) {
      foldedSince = now
      foldedBefore = folded
    }
    return folded - foldedBefore < FOLDED_MAX
  }

  function findOrAdd(values: readonly string[]): EventSeries {
    const known = all.find(values)
    if (known) return known
    if (!isRoom()) fold()
    return all.find(values) ?? all.add(values)
  }

  // What was folded and comes back must not fold another: with more kinds than series, each alert would.
  const isRoom = () => all.members.size < seriesMax

  /** Makes room: the least recently seen lose their pod. Where none has one, the namespace, or all. */
  function fold(): void {
    while (!isRoom()) {
      const ranked = Map.groupBy(all.members, ({ values }) => rankOf(values))
      const rank = GIVEN_UP.findIndex((_, rank) => ranked.has(rank))
      const oldest = ranked.get(rank)!.sort((a, b) => a.seen - b.seen)
      for (const series of oldest.slice(0, Math.ceil(seriesMax * FOLDED_SHARE))) {
        all.remove(series)
        const into = findOrAdd(series.values.map((value, label) => left(value, label, rank)))
        series.into = into
        // A kind may keep it for long.
        series.values = into.values
        into.count += series.count
        into.seen = Math.max(into.seen, series.seen)
        folded++
      }
    }
  }

  return {
    count(countable, alert) {
      let { series } = countable
      if (series === undefined || series.into !== undefined) {
        series =
          isRoom() || series === undefined
            ? seriesFor(valuesOf(alert(), countable.severity))
            : lastOf(series)
        countable.series = series
      }
      series.count++
      series.seen = ++clock
    },
    series: () => all.members,
    folded: () => folded,
  }
}

/**
 * Series by their values. No Map by a text of them: V8 keeps each text that is looked up in one until a major
 * collection, and a flood of different ones is hundreds of megabytes.
 */
function createSeriesSet() {
  const members = new Set<EventSeries>()
  const byHash = new Map<number, EventSeries[]>()
  // A secret, so that values that share a hash cannot be prepared.
  const seed = Math.trunc(Math.random() * 2 ** 32)

  /** Of what is left of the values, like all below. */
  function hashOf(values: readonly string[], rank: number): number {
    let hash = seed
    for (let label = 0; label < values.length; label++) {
      const value = left(values[label]!, label, rank)
      for (let at = 0; at < value.length; at++)
        hash = Math.imul(hash ^ value.charCodeAt(at), 0x01000193)
      hash = Math.imul(hash ^ value.length, 0x01000193)
    }
    return hash ^ (hash >>> 15)
  }

  function has(series: EventSeries, values: readonly string[], rank: number): boolean {
    for (let label = 0; label < values.length; label++)
      if (series.values[label] !== left(values[label]!, label, rank)) return false
    return true
  }

  return {
    members: members as ReadonlySet<EventSeries>,

    find(values: readonly string[], rank = NOTHING_GONE): EventSeries | undefined {
      const bucket = byHash.get(hashOf(values, rank))
      if (bucket)
        for (let index = 0; index < bucket.length; index++)
          if (has(bucket[index]!, values, rank)) return bucket[index]
      return undefined
    },

    add(values: readonly string[]): EventSeries {
      const series = { values: values.slice(), count: 0, seen: 0, into: undefined }
      members.add(series)
      const hash = hashOf(series.values, NOTHING_GONE)
      const bucket = byHash.get(hash)
      if (bucket) bucket.push(series)
      else byHash.set(hash, [series])
      return series
    },

    remove(series: EventSeries): void {
      members.delete(series)
      const hash = hashOf(series.values, NOTHING_GONE)
      const rest = byHash.get(hash)!.filter((other) => other !== series)
      if (rest.length > 0) byHash.set(hash, rest)
      else byHash.delete(hash)
    },
  }
}

function lastOf(series: EventSeries): EventSeries {
  let last = series
  while (last.into !== undefined) last = last.into
  return last
}

const [RULE, PRIORITY, HOSTNAME, SOURCE, TAGS, NAMESPACE, POD] = [0, 1, 2, 3, 4, 5, 6]
const [NUMBERS, latest] = [PRIORITIES.map((_, index) => String(index)), EVENT_LABELS.map(() => '')]

/** Valid until the next call. */
function valuesOf(alert: Alert, severity: number): readonly string[] {
  const { rule, hostname, source, tags } = alert
  const names = Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : []
  latest[RULE] = clean(rule)
  latest[PRIORITY] = NUMBERS[severity]!
  latest[HOSTNAME] = clean(hostname)
  latest[SOURCE] = clean(source)
  latest[TAGS] = clean(`,${names.join(',')},`, TAGS_LENGTH_MAX)
  latest[NAMESPACE] = clean(outputField(alert, 'k8s.ns.name'))
  latest[POD] = clean(outputField(alert, 'k8s.pod.name'))
  return latest
}

/** As it is where it is short and well-formed, which is always but for somebody who means harm. */
function clean(value: unknown, length = VALUE_LENGTH_MAX): string {
  if (typeof value !== 'string') return ''
  if (value.length <= length && value.isWellFormed()) return value
  // Through bytes: a slice would keep the whole of the text in memory.
  return Buffer.from(value.slice(0, length)).toString()
}

/** Which labels are given up: the pod first, then the namespace, at last all but the priority. */
const GIVEN_UP: readonly (readonly number[])[] = [
  [POD],
  [NAMESPACE, POD],
  [RULE, HOSTNAME, SOURCE, TAGS, NAMESPACE, POD],
]
const NOTHING_GONE = -1

/** What is left of a label. */
const left = (value: string, label: number, rank: number) =>
  rank >= 0 && GIVEN_UP[rank]!.includes(label) ? '' : value

/** Index into GIVEN_UP of what a series can still give up first; -1: nothing is left. */
const rankOf = (values: readonly string[]) =>
  GIVEN_UP.findIndex((labels) => labels.some((label) => values[label] !== ''))
