// @vladmandic/human as a worker: benchmarks/peers/protocol.js. Argument: threads, for the decoder only.
//
// Its Node version wants TensorFlow's own library, which @tensorflow/tfjs-node downloads from elsewhere
// when it is installed; so this is its WebAssembly version, on one thread, as it always is on Node.
// Of its default settings what emotion does not need is off, caches between frames too, and up to 50
// faces are given instead of one.

const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const { CROP_SIDE, imported, serve, threads } = require('../protocol.js');

const MODULES = path.join(__dirname, 'node_modules');
const folderUrl = (...parts) => `${pathToFileURL(path.join(MODULES, ...parts)).href}/`;

// It reads its models with fetch, and Node's does not read files.
const fetchFromWeb = globalThis.fetch;
globalThis.fetch = async (address, ...rest) => (String(address).startsWith('file:')
  ? new Response(fs.readFileSync(new URL(address))) : fetchFromWeb(address, ...rest));

// By its path: the package does not export this version.
const { Human } = require(path.join(MODULES, '@vladmandic/human/dist/human.node-wasm.js'));
const sharp = require('sharp');

imported();

if (threads()) sharp.concurrency(threads());

const human = new Human({
  backend: 'wasm',
  wasmPath: path.join(MODULES, '@tensorflow/tfjs-backend-wasm/dist/'),
  modelBasePath: folderUrl('@vladmandic/human/models'),
  cacheSensitivity: 0,
  face: {
    detector: { maxDetected: 50 }, iris: { enabled: false }, description: { enabled: false },
  },
  body: { enabled: false },
  hand: { enabled: false },
  gesture: { enabled: false },
});

async function analyze(file) {
  await human.load();
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const pixels = human.tf.tensor(data, [1, info.height, info.width, 3], 'float32');
  const result = await human.detect(pixels);
  human.tf.dispose(pixels);
  if (result.error) throw new Error(result.error);
  return result.face.map(({ box: [left, top, width, height], emotion }) => (
    { box: [left, top, left + width, top + height], emotion: emotion?.[0]?.emotion ?? null }));
}

// It has no call for a face that is cut out already: its network is asked as it asks it itself.
async function classify(crops) {
  await human.load();
  const { tf } = human;
  const labels = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];
  return crops.map((crop) => {
    const scores = tf.tidy(() => {
      const grey = tf.div(tf.tensor(crop, [1, CROP_SIDE, CROP_SIDE, 1], 'float32'), 255);
      const resized = tf.image.resizeBilinear(grey, [64, 64], false);
      return human.models.models.emotion.execute(tf.mul(tf.sub(resized, 0.5), 2)).dataSync();
    });
    return Object.fromEntries(labels.map((label, index) => [label, scores[index]]));
  });
}

const packages = ['@vladmandic/human', '@tensorflow/tfjs-backend-wasm', 'sharp'];
serve({ folder: __dirname, packages, analyze, classify });
