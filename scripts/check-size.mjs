// Weighs what a browser app downloads. Raising a ceiling is a line in the changeset with the reason.
import { connectOnly, steps, wholeRoad } from './apps.mjs'
import { bundle } from './bundle.mjs'

const ceilings = [
  { app: 'connect by the single steps', code: steps, kB: 14 },
  { app: 'connect', code: connectOnly, kB: 23.5 },
  { app: 'connect, collect, share, withdraw', code: wholeRoad, kB: 53 },
]

let over = 0
for (const { app, code, kB } of ceilings) {
  const { brotli, later } = await bundle(code)
  if (brotli > kB * 1000) over += 1
  process.stdout.write(
    `size: ${app}: ${(brotli / 1000).toFixed(1)} kB of ${kB} (brotli)${later > 0 ? `, and ${(later / 1000).toFixed(1)} kB when they are needed` : ''}${brotli > kB * 1000 ? ' OVER' : ''}\n`,
  )
}
process.exitCode = over === 0 ? 0 : 1
