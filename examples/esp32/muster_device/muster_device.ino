// A device of Muster on an ESP32: presence, a reading a minute, notifications with receipts.
// Libraries: PubSubClient 2.8, ArduinoJson 7.

#include <ArduinoJson.h>
#include <PubSubClient.h>
#include <WiFi.h>
#include <time.h>

const char* WIFI_NAME = "your network";
const char* WIFI_PASSWORD = "its password";
const char* BROKER = "192.168.1.10";
const uint16_t BROKER_PORT = 1883;
const char* BROKER_USER = "";  // empty: the broker wants none
const char* BROKER_PASSWORD = "";

const unsigned long HEARTBEAT_MS = 25000;  // after 60 s of silence the device is offline
const unsigned long READING_MS = 60000;
const unsigned long RETRY_MS = 5000;

WiFiClient network;
PubSubClient mqtt(network);
String serial;
unsigned long beatAt = 0, readAt = 0, triedAt = 0;

String topicOf(const char* verb) { return "devices/" + serial + "/" + verb; }

void addTime(JsonDocument& body) {
  time_t now = time(nullptr);
  if (now < 1700000000) return;  // not set yet: the server stamps what has no time
  char text[32];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
  body["timestamp"] = text;
}

void say(const char* verb, JsonDocument& body) {
  body["device_id"] = serial;
  addTime(body);
  String text;
  serializeJson(body, text);
  if (!mqtt.publish(topicOf(verb).c_str(), text.c_str())) Serial.printf("not sent: %s\n", verb);
}

void receipt(const char* id, const char* state) {
  JsonDocument body;
  body["notification_id"] = id;
  body["state"] = state;
  say("receipts", body);
}

void notified(char*, byte* payload, unsigned int length) {
  JsonDocument note;
  if (deserializeJson(note, payload, length) != DeserializationError::Ok || !note["id"].is<const char*>()) {
    Serial.println("not a notification");
    return;
  }
  // The receipts reuse the buffer that `payload` points into: `note` has copies of its own.
  const char* id = note["id"];
  receipt(id, "received");
  Serial.printf("[%s] %s: %s\n", note["priority"] | "normal", note["title"] | "", note["body"] | "");
  receipt(id, "displayed");
}

void connect() {
  JsonDocument gone;
  gone["device_id"] = serial;
  gone["status"] = "offline";
  gone["reason"] = "will";
  String will;
  serializeJson(gone, will);
  const char* user = *BROKER_USER ? BROKER_USER : nullptr;
  const char* password = *BROKER_USER ? BROKER_PASSWORD : nullptr;
  // The last argument keeps the session: notifications of the meantime are delivered.
  if (!mqtt.connect(serial.c_str(), user, password, topicOf("status").c_str(), 1, false, will.c_str(), false)) {
    Serial.printf("no connection: %d\n", mqtt.state());
    return;
  }
  mqtt.subscribe(topicOf("notifications").c_str(), 1);
  JsonDocument hello;
  hello["device_type"] = "esp32";
  hello["hostname"] = serial;
  hello["ip_address"] = WiFi.localIP().toString();
  hello["mac_address"] = WiFi.macAddress();
  say("announce", hello);
}

void setup() {
  Serial.begin(115200);
  WiFi.mode(WIFI_STA);
  WiFi.begin(WIFI_NAME, WIFI_PASSWORD);
  String mac = WiFi.macAddress();
  mac.replace(":", "");
  mac.toLowerCase();
  serial = "esp32-" + mac.substring(6);
  configTime(0, 0, "pool.ntp.org");
  mqtt.setServer(BROKER, BROKER_PORT);
  mqtt.setBufferSize(2048);
  mqtt.setKeepAlive(20);
  mqtt.setCallback(notified);
}

void loop() {
  unsigned long now = millis();
  if (!mqtt.connected()) {
    if (WiFi.status() == WL_CONNECTED && now - triedAt >= RETRY_MS) {
      triedAt = now;
      connect();
    }
    return;
  }
  mqtt.loop();
  if (now - beatAt >= HEARTBEAT_MS) {
    beatAt = now;
    JsonDocument beat;
    beat["status"] = "online";
    say("heartbeat", beat);
  }
  if (now - readAt >= READING_MS) {
    readAt = now;
    JsonDocument reading;
    reading["rssi"] = WiFi.RSSI();
    reading["chip_temperature"] = temperatureRead();
    say("readings", reading);
  }
}
