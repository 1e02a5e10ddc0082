// The protocol of protocol.py for systems on Node.

const fs = require('node:fs');
const readline = require('node:readline');

const CROP_SIDE = 48;

// Output of libraries goes to standard error.
console.log = console.info = console.debug = console.error;

const send = (response) => fs.writeSync(1, `${JSON.stringify(response)}\n`);

/** The number of threads for an image; undefined for the library's default. */
function threads() {
  const given = process.argv[2] ?? 'all';
  return given === 'all' ? undefined : Number(given);
}

/** Report that the library is imported; models may be loaded later. */
function imported() {
  send({ imported: true });
}

/** The peak resident memory of this process in MiB. */
function peakMb() {
  const status = fs.existsSync('/proc/self/status') ? fs.readFileSync('/proc/self/status', 'utf8') : '';
  const found = /VmHWM:\s+(\d+)/.exec(status);
  return (found ? Number(found[1]) : process.resourceUsage().maxRSS) / 1024;
}

async function respondTo(request, system) {
  if (request.about) {
    const versions = system.packages.map((name) => [name, versionOf(name, system.folder)]);
    return { versions: { Node: process.versions.node, ...Object.fromEntries(versions) }, lacks: null };
  }
  const photo = request.photo && fs.readFileSync(request.photo);
  const crops = request.crops?.map((crop) => Buffer.from(crop, 'base64'));
  const started = performance.now();
  const result = photo ? { faces: await system.analyze(photo) } : { scores: await system.classify(crops) };
  return { seconds: (performance.now() - started) / 1000, ...result };
}

function versionOf(name, folder) {
  return JSON.parse(fs.readFileSync(`${folder}/node_modules/${name}/package.json`, 'utf8')).version;
}

/** Respond to requests until standard input ends; system: { folder, packages, analyze, classify }. */
async function serve(system) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let response;
    try {
      response = await respondTo(JSON.parse(line), system);
    } catch (error) {
      response = { error: `${error.name}: ${error.message}` };
    }
    send({ ...response, peak_mb: peakMb() });
  }
}

module.exports = { CROP_SIDE, imported, serve, threads };
