// A million mixed alerts at full speed.

import type { Suite } from '../support/suite.ts'
import { type Trial, trial } from '../support/trial.ts'

const ALERTS = 1_000_000

export async function burst(suite: Suite): Promise<void> {
  const alerts = suite.alerts(ALERTS)
  const { path, meanBytes } = suite.file()
  await suite.compare(
    `burst: ${alerts} alerts, ${meanBytes} bytes on average`,
    suite.contenders('burst'),
    async (contender) =>
      burstRow(await trial(contender, path, Math.min(alerts, contender.burst ?? alerts))),
  )
}

export const burstRow = ({
  alerts,
  seconds,
  cpuSeconds,
  ...trial
}: Omit<Trial, 'rss' | 'anon' | 'latencies'>) => ({
  'alerts/s': Math.round(alerts / seconds),
  'CPU s/million': (cpuSeconds / alerts) * 1e6,
  'broker CPU s/million': (trial.brokerCpuSeconds / alerts) * 1e6,
  'peak RSS MiB': trial.peakRss,
  'peak anon MiB': trial.peakAnon,
})
