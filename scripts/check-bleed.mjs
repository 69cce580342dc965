// What an app does not use must not be in its bundle: no study in one that only connects, and nothing of a
// confidential client in any browser's. Checked in what is built, by words that only those parts hold, and in the
// graph of the sources; that the words are still such words is checked too.
import { connectOnly, steps, wholeRoad } from './apps.mjs'
import { bundle } from './bundle.mjs'

const all = `import * as everything from '@s4s/browser'\nglobalThis.everything = everything`
const study = {
  folder: /^packages\/core\/src\/(study|record)\//,
  words: ['s4s-package/1', 's4s-withdrawal/1'],
}
const confidential = {
  folder: /^packages\/core\/src\/(confidential\.ts|smart\/client-auth\.ts)$/,
  words: ['client_assertion_type', 'jwt-bearer'],
}
const node = { folder: /^packages\/(node|sandbox)\//, words: ['node:http', 'node:fs'] }

const rules = [
  { app: 'one that connects by the single steps', code: steps, without: { study, confidential, node } },
  { app: 'one that only connects', code: connectOnly, without: { study, confidential, node } },
  { app: 'one that walks the whole road', code: wholeRoad, without: { confidential, node } },
  { app: 'all of @s4s/browser', code: all, without: { confidential, node } },
]
const words = [
  { app: 'one that walks the whole road', code: wholeRoad, holds: study.words },
  {
    app: 'a confidential client',
    code: `import * as everything from '@s4s/core/confidential'\nglobalThis.everything = everything`,
    holds: confidential.words,
  },
]

const faults = []
for (const { app, code, without } of rules) {
  const built = await bundle(code, 'dist')
  const source = await bundle(code, 'src')
  for (const [part, { folder, words }] of Object.entries(without)) {
    for (const word of words)
      if (built.code.includes(word)) faults.push(`${app} holds ${part}: the word ${word}`)
    for (const path of source.modules) if (folder.test(path)) faults.push(`${app} holds ${part}: ${path}`)
  }
}
for (const { app, code, holds } of words) {
  const built = await bundle(code, 'dist')
  for (const word of holds)
    if (!built.code.includes(word)) faults.push(`${word} is not in ${app}; choose another word`)
}

for (const fault of faults) process.stderr.write(`${fault}\n`)
process.stdout.write(`bleed: ${rules.length} apps, ${faults.length} faults\n`)
process.exitCode = faults.length === 0 ? 0 : 1
