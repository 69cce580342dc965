/** One thing that is counted, and the colour of its bars. */
export interface PlotSeries {
  readonly label: string
  readonly colour: string
  readonly values: readonly number[]
}

const width = 720
const height = 160
const left = 40
const bottom = 24
const top = 8

/**
 * Bars over time as SVG, one on top of the other, for a page without scripts. What it shows stands in its title and is
 * told by each bar, so that it can be read as well as seen.
 *
 * @param labels below the bars, one for each value; a few of them are shown
 * @param escaped makes a text safe to stand in markup
 */
export function barsOf(
  title: string,
  labels: readonly string[],
  series: readonly PlotSeries[],
  escaped: (text: string) => string,
): string {
  const sums = labels.map((_, index) => series.reduce((sum, { values }) => sum + (values[index] ?? 0), 0))
  const most = Math.max(1, ...sums)
  const room = height - bottom - top
  const step = (width - left) / Math.max(1, labels.length)
  const bars = labels.flatMap((label, index) => {
    let base = height - bottom
    return series.map(({ label: name, colour, values }) => {
      const value = values[index] ?? 0
      const tall = (value / most) * room
      base -= tall
      if (value === 0) return ''
      const box = `x="${round(left + index * step + 1)}" y="${round(base)}" width="${round(step - 2)}" height="${round(tall)}"`
      return `<rect ${box} fill="${colour}"><title>${escaped(`${label}: ${shown(value)} ${name}`)}</title></rect>`
    })
  })
  const ticks = labels.map((label, index) =>
    index % 6 === 0
      ? `<text x="${round(left + index * step)}" y="${height - 6}">${escaped(label)}</text>`
      : '',
  )
  const axis = `<line x1="${left}" y1="${height - bottom}" x2="${width}" y2="${height - bottom}" stroke="#595959"/>`
  const scale = `<text x="0" y="${top + 12}">${shown(most)}</text><text x="0" y="${height - bottom}">0</text>`
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(title)}"><title>${escaped(title)}</title>
${axis}${scale}${ticks.join('')}
${bars.filter(Boolean).join('\n')}
</svg>`
}

const round = (value: number): number => Math.round(value * 10) / 10
const shown = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1))
