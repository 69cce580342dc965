import { type Behavior, changed, cursorFrom, cursorNamed } from './behavior.js'

export const meditech: Behavior = {
  software: 'Interoperability Services: US Core STU6 FHIR R4',
  configuredAtRoot: true,
  fhir:
    () =>
    async ({ url, searched, serve }) =>
      searched === undefined
        ? serve()
        : changed(await serve(cursorFrom(url, 'continue')), { links: cursorNamed('continue') }),
}
