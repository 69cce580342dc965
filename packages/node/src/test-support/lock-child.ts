import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileLock } from '../file-lock.js'

const [folder = '', mode = ''] = process.argv.slice(2)
const lock = fileLock(join(folder, 'locks'))

if (mode === 'hold') {
  await lock('shared', async () => {
    process.stdout.write('held\n')
    setInterval(() => {}, 1000)
    await new Promise(() => {})
  })
} else {
  // Read, wait a turn, write: whoever is not alone loses a count.
  const file = join(folder, 'counter')
  for (let round = 0; round < 25; round++) {
    await lock('shared', async () => {
      const count = Number(readFileSync(file, 'utf8'))
      await new Promise((resolve) => setImmediate(resolve))
      writeFileSync(file, String(count + 1))
    })
  }
  appendFileSync(join(folder, 'done'), 'x')
  process.stdout.write('done\n')
}
