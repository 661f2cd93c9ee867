package dev.tallymark.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import dev.tallymark.v1.CreateModelRequest;
import dev.tallymark.v1.CreateModelVersionRequest;
import dev.tallymark.v1.Event;
import dev.tallymark.v1.EventLogGrpc;
import dev.tallymark.v1.ExportRequest;
import dev.tallymark.v1.GetModelVersionRequest;
import dev.tallymark.v1.Model;
import dev.tallymark.v1.ModelRegistryGrpc;
import dev.tallymark.v1.ModelVersion;
import dev.tallymark.v1.SetStageRequest;
import dev.tallymark.v1.Stage;
import dev.tallymark.v1.WatchRequest;
import dev.tallymark.v1.WatchResponse;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** A client of the service in Java: Client GRPC-ADDRESS PROJECT. Prints as JSON what the service answered. */
public final class Client {
  private static final Metadata.Key<String> ACTOR =
      Metadata.Key.of("tallymark-actor", Metadata.ASCII_STRING_MARSHALLER);

  private final ModelRegistryGrpc.ModelRegistryBlockingStub models;
  private final EventLogGrpc.EventLogBlockingStub log;

  private Client(ManagedChannel channel) {
    Metadata headers = new Metadata();
    // URLEncoder writes a space as `+`, which is a plus sign to the service.
    headers.put(ACTOR, URLEncoder.encode("Zoë Ørsted", StandardCharsets.UTF_8).replace("+", "%20"));
    var named = MetadataUtils.newAttachHeadersInterceptor(headers);
    models = ModelRegistryGrpc.newBlockingStub(channel).withInterceptors(named);
    log = EventLogGrpc.newBlockingStub(channel).withInterceptors(named);
  }

  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel = ManagedChannelBuilder.forTarget(arguments[0]).usePlaintext().build();
    try {
      System.out.println(new Client(channel).told(arguments[1]));
    } finally {
      channel.shutdownNow().awaitTermination(10, TimeUnit.SECONDS);
    }
  }

  private String told(String parent) throws Exception {
    String model = parent + "/models/churn";
    models().createModel(
        CreateModelRequest.newBuilder()
            .setParent(parent)
            .setModelId("churn")
            .setModel(Model.newBuilder().setDescription("x".repeat(20_000)))
            .build());
    var create = CreateModelVersionRequest.newBuilder().setParent(model).build();
    ModelVersion first = models().createModelVersion(create);
    models().createModelVersion(create);
    models().setStage(
        SetStageRequest.newBuilder().setName(model + "/versions/2").setStage(Stage.STAGE_PRODUCTION).build());
    ModelVersion production = models().getModelVersion(version(model + "/versions/@production"));

    var before = new ArrayList<Event>();
    String logId = watched(WatchRequest.newBuilder().setParent(parent).setAfterRevision(0).build(), 3, before);
    var after = new ArrayList<Event>();
    long cursor = before.get(before.size() - 1).getRevision();
    watched(WatchRequest.newBuilder().setParent(parent).setAfterRevision(cursor).setLogId(logId).build(), 1, after);

    var told = new TreeMap<String, Object>();
    told.put("first", Map.of("number", first.getNumber(), "creator", first.getCreator()));
    told.put("production", production.getNumber());
    told.put("watched", before.stream().map(Event::getRevision).toList());
    told.put("resumed", after.stream().map(Event::getRevision).toList());
    told.put("refused", refused(model));
    told.put("late", late(parent));
    told.put("exported", exported(parent));
    return json(told);
  }

  private ModelRegistryGrpc.ModelRegistryBlockingStub models() {
    return models.withDeadlineAfter(60, TimeUnit.SECONDS);
  }

  private static GetModelVersionRequest version(String name) {
    return GetModelVersionRequest.newBuilder().setName(name).build();
  }

  /** Collects the first events of a watch, and returns the log to which they belong. */
  private String watched(WatchRequest request, int count, List<Event> events) {
    try (Context.CancellableContext call = Context.current().withCancellation()) {
      Context outer = call.attach();
      try {
        Iterator<WatchResponse> messages = log.withDeadlineAfter(60, TimeUnit.SECONDS).watch(request);
        while (true) {
          WatchResponse message = messages.next();
          // The first message may have no events.
          events.addAll(message.getEventsList());
          if (events.size() >= count) {
            events.subList(count, events.size()).clear();
            return message.getLogId();
          }
        }
      } finally {
        call.detach(outer);
      }
    }
  }

  private Map<String, Object> refused(String model) throws InvalidProtocolBufferException {
    try {
      models().getModelVersion(version(model + "/versions/9"));
    } catch (StatusRuntimeException refused) {
      for (Any detail : StatusProto.fromThrowable(refused).getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          ErrorInfo info = detail.unpack(ErrorInfo.class);
          int code = refused.getStatus().getCode().value();
          return Map.of(
              "code", code, "reason", info.getReason(), "domain", info.getDomain(), "metadata", info.getMetadataMap());
        }
      }
    }
    throw new IllegalStateException("was not refused with a reason");
  }

  private int late(String parent) {
    try {
      Iterator<WatchResponse> messages =
          log.withDeadlineAfter(1, TimeUnit.SECONDS).watch(WatchRequest.newBuilder().setParent(parent).build());
      while (messages.hasNext()) {
        messages.next();
      }
    } catch (StatusRuntimeException late) {
      return late.getStatus().getCode().value();
    }
    throw new IllegalStateException("the watch ended well");
  }

  private String exported(String parent) throws Exception {
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    log.withDeadlineAfter(60, TimeUnit.SECONDS)
        .export(ExportRequest.newBuilder().setParent(parent).build())
        .forEachRemaining(message -> digest.update(message.getLines().asReadOnlyByteBuffer()));
    return HexFormat.of().formatHex(digest.digest());
  }

  private static String json(Object value) {
    if (value instanceof Map<?, ?> map) {
      return map.entrySet().stream()
          .map(entry -> json(entry.getKey()) + ":" + json(entry.getValue()))
          .collect(Collectors.joining(",", "{", "}"));
    }
    if (value instanceof List<?> list) {
      return list.stream().map(Client::json).collect(Collectors.joining(",", "[", "]"));
    }
    if (value instanceof String text) {
      // What is reported has no character that JSON would escape.
      return "\"" + text + "\"";
    }
    return String.valueOf(value);
  }
}
